"""The SSE response: ready-made frames from the engine to the socket, with as little as possible in between.

Starlette's StreamingResponse costs several times as much per chunk. Three things are certain here: an error before the
first frame is a problem response, not an empty 200; the generator is closed however the response ends; and the
client's leaving ends the response, never the run.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from types import coroutine

from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.api.disconnect import unless_gone
from app.api.heads import SINK
from app.api.port import Stream
from app.api.responses import run_headers, session_headers
from app.engine.sink import Sink, refuse

_logger = logging.getLogger(__name__)

STALL_SECONDS = 60.0
"""Four times the keep-alive: a stream that could write nothing for so long has a reader that does not read."""

BURST_BYTES = 64 * 1024
"""Written at most before others get their turn."""

SSE_HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


class EventStream(Response):
    """A stream as the answer to a request."""

    media_type = "text/event-stream"

    def __init__(self, stream: Stream, stall: float = STALL_SECONDS) -> None:
        self.status_code = 200
        self.background = None
        self._stream = stream
        self._stall = stall
        where = session_headers(stream.key) if stream.run_id is None else run_headers(stream.key, stream.run_id)
        self.init_headers({**SSE_HEADERS, **where})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The stream is over, and its generator closed. Raises what the generator raises before its first frame."""
        try:
            await unless_gone(receive, self._pump(send, _sink(scope)))
        except ClientDisconnect:
            _logger.debug("the reader of %s left", self._stream.key.session)

    async def _pump(self, send: Send, sink: Sink) -> None:
        async with aclosing(self._stream.frames(sink)) as frames:
            first = await anext(frames, b"")
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            try:
                await self._copy(frames, send)
            except TimeoutError:
                _logger.info("a stream of %s was cut off: its reader does not read", self._stream.key.session)
                return
            except Exception:
                _logger.exception("a stream of %s broke off", self._stream.key.session)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _copy(self, frames: AsyncGenerator[bytes, None], send: Send) -> None:
        burst = 0
        async for frame in frames:
            async with asyncio.timeout(self._stall):
                await send({"type": "http.response.body", "body": frame, "more_body": True})
            burst += len(frame)
            if burst > BURST_BYTES:
                burst = 0
                await _turn()


def _sink(scope: Scope) -> Sink:
    """Gives the way past all that is awaited, if the server has one."""
    return scope.get("extensions", {}).get(SINK, {}).get("write", refuse)


@coroutine
def _turn() -> Generator[None, None, None]:
    """Lets others run: a socket that takes everything never suspends its writer, and a closed one does not either."""
    yield
