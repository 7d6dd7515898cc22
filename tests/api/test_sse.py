"""The SSE response by itself: every way it can end closes the generator."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from app.api.sse import EventStream
from app.core.errors import BadCursor
from app.core.ids import AgentId, RunId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.engine.sink import Sink, refuse


class Wire:
    """A connection: what was sent, and whether the reader left or stopped reading."""

    def __init__(self, *, reads: int = 1_000_000) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self._reads = reads

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if len(self.sent) >= self._reads:
            await asyncio.Event().wait()
        self.sent.append(message)


class Endless:
    """A stream of that many frames, that then fails or waits for ever."""

    key = SessionKey(TenantId("t"), UserId("u"), AgentId("a"), SessionId("é"))
    run_id = RunId("run_1")

    def __init__(self, frames: int, error: Exception | None = None) -> None:
        self.closed = False
        self._frames, self._error = frames, error
        self._generator = self._generate()

    def frames(self, sink: Sink = refuse) -> AsyncGenerator[bytes, None]:
        """Held here, so that no garbage collection closes it in the response's place."""
        return self._generator

    async def _generate(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self._frames):
                yield b": %d\n\n" % number
            if self._error is not None:
                raise self._error
            await asyncio.Event().wait()
        finally:
            self.closed = True


async def respond(stream: Endless, wire: Wire, stall: float = 60.0) -> None:
    async with asyncio.timeout(5):
        await EventStream(stream, stall)({"type": "http"}, wire.receive, wire.send)


async def test_headers_name_session_and_run() -> None:
    headers = EventStream(Endless(0)).headers
    assert headers["x-session-id"] == "%C3%A9"
    assert (headers["x-run-id"], headers["location"]) == ("run_1", "/v1/runs/run_1")
    assert headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in headers


async def test_an_error_before_the_first_frame_sends_nothing() -> None:
    stream, wire = Endless(0, BadCursor("no")), Wire()
    with pytest.raises(BadCursor):
        await respond(stream, wire)
    assert (wire.sent, stream.closed) == ([], True)


async def test_an_error_later_ends_the_body() -> None:
    stream, wire = Endless(2, ValueError("boom")), Wire()
    await respond(stream, wire)
    assert [message.get("body") for message in wire.sent] == [None, b": 0\n\n", b": 1\n\n", b""]
    assert wire.sent[-1]["more_body"] is False
    assert stream.closed


async def test_a_reader_that_leaves_ends_it_quietly() -> None:
    stream, wire = Endless(3), Wire()
    async with asyncio.TaskGroup() as group:
        group.create_task(respond(stream, wire))
        while len(wire.sent) < 4:
            await asyncio.sleep(0)
        assert not stream.closed
        wire.gone.set()
    assert stream.closed


async def test_a_reader_that_does_not_read_is_cut_off() -> None:
    stream, wire = Endless(10), Wire(reads=3)
    await respond(stream, wire, stall=0.05)
    assert len(wire.sent) == 3
    assert stream.closed


async def test_a_cancelled_server_closes_it_too() -> None:
    stream, wire = Endless(1), Wire()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(respond(stream, wire))
        while len(wire.sent) < 2:
            await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert stream.closed
