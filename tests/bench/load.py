"""The load: many streams at once over raw sockets, counted rather than parsed, so that it costs next to nothing."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import cast

from msgspec import Struct

from tests.bench.model import STALL, asked, word

END = b"0\r\n\r\n"
ACCEPTED = b"HTTP/1.1 200"
MARKER = b"event: delta"
"""It is in every frame that carries text, and in nothing else."""
SNAPSHOT = b"event: item.snapshot"
RUN = re.compile(rb"x-run-id: (\S+)\r")
STAGGER = 0.02
"""Streams begin this far apart in all, in seconds: so chunks of different streams do not come in step."""


class Target(Struct, frozen=True):
    """A server under load."""

    port: int
    path: str = "/v1/chat"


class Seen(Struct, frozen=True):
    """What one stream came to; times are in seconds from the request."""

    frames: int
    first: float
    total: float
    whole: bool
    """Whether the last word came, and then an orderly end."""


class Stream(asyncio.Protocol):
    """One request, and its answer counted."""

    def __init__(self, chunks: int, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Seen] = loop.create_future()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.run = ""
        """The run's id, once the answer's head has come."""
        self._now = monotonic
        self._last = word(chunks - 1).encode()
        self._request = request
        self._asked = self._first = 0.0
        self.times: list[float] = []
        """When each frame came, by the monotonic clock."""
        self._is_accepted = self._is_last = False
        self._carry = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._asked = self._now()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._is_accepted and not data.startswith(ACCEPTED):
            self._refuse(data)
            return
        self._is_accepted = True
        window = self._carry + data
        self._carry = window[1 - len(MARKER) :]
        self.times += [self._now()] * window.count(MARKER)
        if not self.run and (found := RUN.search(window)):
            self.run = found[1].decode()
        if not self.begun.done() and (self.times or SNAPSHOT in window):
            self._first = self._now() - self._asked
            self.begun.set_result(None)
        self._is_last = self._is_last or self._last in window
        if window.endswith(END) and self.transport is not None:
            self.transport.close()

    def _refuse(self, answer: bytes) -> None:
        for future in (self.begun, self.done):
            future.set_exception(RuntimeError(f"refused: {answer.decode(errors='replace')}"))
            future.exception()  # one of them may be nobody's concern
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        whole = self._is_last and self._carry.endswith(END)
        if not self.begun.done():
            self.begun.set_result(None)
        if not self.done.done():
            self.done.set_result(Seen(len(self.times), self._first, self._now() - self._asked, whole))


def question(target: Target, pace: int, chunks: int) -> bytes:
    """Gives the request for such an answer."""
    body = json.dumps({"input": asked(pace, chunks)}).encode()
    head = f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def open_stream(port: int, request: bytes, chunks: int) -> Stream:
    """Gives a stream whose request is sent."""
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: Stream(chunks, request), "127.0.0.1", port)
    return stream


async def ask(target: Target, pace: int, chunks: int) -> Seen:
    """Gives what became of one stream."""
    async with asyncio.timeout(60):
        seen = await (await open_stream(target.port, question(target, pace, chunks), chunks)).done
    if not seen.whole:
        raise RuntimeError(f"port {target.port}: a stream came to {seen}")
    return seen


async def flood(target: Target, streams: int, pace: int, chunks: int) -> Sequence[Seen]:
    """Gives what became of many streams at once."""

    async def one(number: int) -> Seen:
        await asyncio.sleep(STAGGER * number / streams)
        return await ask(target, pace, chunks)

    return await asyncio.gather(*(one(number) for number in range(streams)))


@asynccontextmanager
async def holding(port: int, requests: Sequence[bytes]) -> AsyncGenerator[list[Stream], None]:
    """Keeps a stream for each request open while the body runs, after its first text."""
    opened: list[Stream] = []
    try:
        for request in requests:
            opened.append(await open_stream(port, request, 1))
            async with asyncio.timeout(10):
                await opened[-1].begun
        yield opened
    finally:
        for stream in opened:
            if stream.transport is not None:
                stream.transport.abort()


def stalling(target: Target) -> bytes:
    """Gives the request for an answer that falls silent after its first word."""
    return question(target, STALL, 2)


def follow(port: int, run: str) -> bytes:
    """Gives the request for a run's events."""
    return f"GET /v1/runs/{run}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
