"""HTTP as it comes off the socket: uvicorn's parser, with a bound on what it keeps of a request's head.

The parser holds a head until it is whole, however long it is; so a client could fill the memory before `Bounds` sees
the request. What is refused here, or is no HTTP at all, is answered by a problem, and is the connection's end.
"""

from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.api.errors import KINDS, problem

MAX_UNREAD_HEAD = 64 * 1024
"""Bytes that may come before a head is whole; `Bounds` allows less of those that are."""
SINK = "baton.sink"
"""The ASGI extension whose `write` puts a piece of a body on the wire at once, past all middleware."""


class BoundedHead(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = 0
        self._in_head = True

    def data_received(self, data: bytes) -> None:
        """The data was parsed, or the connection is closing."""
        self._head += len(data)
        super().data_received(data)
        if not self._in_head:
            self._head = 0
        elif self._head > MAX_UNREAD_HEAD and not self.transport.is_closing():
            self._refuse("headers_too_large", f"more than {MAX_UNREAD_HEAD} bytes came, and not the end of the head")

    def on_headers_complete(self) -> None:
        """The request is under way."""
        self._in_head = False
        super().on_headers_complete()
        self.scope["extensions"] = {SINK: {"write": partial(sink, self.cycle)}}

    def on_message_complete(self) -> None:
        """The request is whole; what comes now is the next one's head."""
        self._in_head, self._head = True, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """The client knows that this was no HTTP."""
        self._refuse("bad_request", "this is not a request of HTTP/1.1")

    def _refuse(self, code: str, detail: str) -> None:
        """The connection is closing, after a problem unless another response is under way."""
        cycle = self.cycle
        if not cycle or cycle.response_complete or not (cycle.response_started or self.pipeline):
            answer, status = problem(code, detail), HTTPStatus(KINDS[code].status)
            head = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode())]
            head += [b"%b: %b" % header for header in answer.raw_headers]
            self.transport.write(b"\r\n".join([*head, b"connection: close", b"", bytes(answer.body)]))
        self.transport.close()


def sink(cycle: RequestResponseCycle, data: bytes) -> bool:
    """The data is on its way, as a chunk. False: it is not, for the client is slow, gone, or reads no chunks."""
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_complete or not cycle.chunked_encoding:
        return False
    cycle.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
    return True
