"""A model at wire level: answers chat completions with ready-made chunks, as cheaply as Python can.

The input says what it wants, last mention first: `pace=20 chunks=100` is a hundred chunks 20 ms apart, `pace=0` one
per turn of the event loop, `pace=-1` one chunk and then silence for ever.
"""

import asyncio
import json
import re
from functools import cache
from typing import Any, cast

import uvloop

STALL = -1
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
_ASKED = re.compile(rb"pace=(-?\d+) chunks=(\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def asked(pace: int, chunks: int) -> str:
    """Gives the input that asks for such an answer; `pace` is in milliseconds."""
    return f"pace={pace} chunks={chunks}"


def word(number: int) -> str:
    """Gives the text of one chunk: about what one token is."""
    return f"w{number:03d} "


def _sse(fields: dict[str, Any]) -> bytes:
    whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m", **fields}
    data = b"data: " + json.dumps(whole, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _choice(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _sse({"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})


@cache
def answer(chunks: int) -> tuple[bytes, ...]:
    """Gives the answer's pieces, one write each: the role and the first word together, the end with the last one."""
    words = [_choice({"content": word(number)}) for number in range(chunks)]
    words[0] = HEAD + _choice({"role": "assistant", "content": ""}) + words[0]
    usage = {"prompt_tokens": 10, "completion_tokens": chunks, "total_tokens": 10 + chunks}
    done = b"data: [DONE]\n\n"
    words[-1] += _choice({}, "stop") + _sse({"choices": [], "usage": usage})
    words[-1] += b"%x\r\n%b\r\n" % (len(done), done) + END
    return tuple(words)


class Connection(asyncio.Protocol):
    """One connection: requests one after the other, each answered at its own pace."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = bytes(self._received).partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if separator and length and len(body) >= int(length[1]):
            self._received.clear()
            pace, chunks = _ASKED.findall(body)[-1]
            self._begin(int(pace), answer(int(chunks)))

    def _begin(self, pace: int, pieces: tuple[bytes, ...]) -> None:
        if pace == STALL:
            self.transport.write(pieces[0])
        else:
            self._send(pieces, 0, self._loop.time(), pace / 1000)

    def _send(self, pieces: tuple[bytes, ...], sent: int, began: float, pace: float) -> None:
        self.transport.write(pieces[sent])
        sent += 1
        if sent == len(pieces) or self.transport.is_closing():
            return
        if pace:
            self._loop.call_at(began + sent * pace, self._send, pieces, sent, began, pace)
        else:
            self._loop.call_soon(self._send, pieces, sent, began, pace)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
