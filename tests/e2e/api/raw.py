"""Bytes to a server and back, for what no HTTP library would send."""

import asyncio
import contextlib
import select
import socket

from tests.support.server import Server

DEADLINE = 5.0
HOST = b"Host: 127.0.0.1\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n\r\n"


async def exchange(server: Server, request: bytes) -> bytes:
    """Gives all that the server answers until it closes the connection, though it need not read all of the request."""
    return await asyncio.to_thread(_exchange, server.port, request)


def _exchange(port: int, request: bytes) -> bytes:
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        with contextlib.suppress(ConnectionError):
            while request or not answer:
                readable, writable, _ = select.select([connection], [connection] if request else [], [], DEADLINE)
                assert readable or writable, "the server neither reads nor answers"
                if readable:
                    break
                request = request[connection.send(request[:65_536]) :]
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65_536):
                answer += piece
    return bytes(answer)


async def hang_up(server: Server, request: bytes, *, reset: bool = False) -> None:
    """The request's beginning was sent, and the connection closed."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    await writer.drain()
    if reset:
        writer.transport.abort()
    else:
        writer.close()
        await writer.wait_closed()


def status_of(response: bytes) -> int:
    """Gives the response's status."""
    assert response.startswith(b"HTTP/1.1 "), response[:100]
    return int(response[9:12])
