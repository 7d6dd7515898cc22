"""A replica whose event loop hangs: others take over, and when it wakes, it has nothing left to say."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.core.records import Effect
from app.core.tools import ToolOutput
from app.engine.heartbeat import Heartbeat
from app.llm.base import ModelEvent, ModelRequest
from app.tools.base import ToolContext, describe
from tests.support.puppet import Call, Puppet
from tests.support.replica import WHO, Replica, SharedMemory, replica, until
from tests.support.tools import NoArguments
from tests.support.viewer import view

SECONDS = 20
"""How long anything may take."""


class Wedge:
    """An unsafe tool that blocks the event loop, as no tool should, until the test is content."""

    def __init__(self, content: threading.Event) -> None:
        self.spec = describe("wedge", "Blocks.", NoArguments, Effect.UNSAFE, 60)
        self.calls = 0
        self._content = content

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        self.calls += 1
        assert self._content.wait(SECONDS)
        return ToolOutput(text="woke up")


class Elsewhere:
    """A replica in another thread, so that an event loop that hangs here does not concern it."""

    def __init__(self, memory: SharedMemory, model: Puppet, directory: Path, tool: Wedge) -> None:
        self.replica: Replica | None = None
        self._start = partial(replica, model=model, directory=directory, tools=(tool,))
        self._memory = memory
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()))

    @asynccontextmanager
    async def living(self) -> AsyncGenerator[None, None]:
        self._thread.start()
        try:
            await until(lambda: self.replica is not None and self.replica.membership.lease.is_seasoned)
            yield
        finally:
            self._ended.set()
            await asyncio.to_thread(self._thread.join, SECONDS)

    async def _live(self) -> None:
        async with self._memory.open() as stores, self._start(stores) as self.replica:
            await asyncio.to_thread(self._ended.wait)


class Telling(Puppet):
    """Tells, across threads, that it was asked."""

    def __init__(self, asked: threading.Event, *answers: Sequence[Any]) -> None:
        super().__init__(*answers)
        self._asked = asked

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        self._asked.set()
        async for batch in super().stream(request):
            yield batch


async def check_wedge(directory: Path) -> None:
    """A replica whose event loop hangs is taken over; when it wakes, it writes nothing and joins as another."""
    memory, asked = SharedMemory(), threading.Event()
    tool = Wedge(asked)
    there = Elsewhere(memory, Telling(asked, [], ["taken over"]), directory, tool)
    here = Puppet([Call("wedge", "{}")], ["not taken over"])
    async with memory.open() as stores, replica(stores, here, directory, tools=(tool,)) as server, there.living():
        async with asyncio.timeout(SECONDS):
            before = server.membership.lease
            accepted = await server.say("one")
            assert (await server.engine.finished(WHO, accepted.run_id)).status == "completed"
            await until(lambda: server.engine._worker.free == server.services.slots)
            await until(lambda: server.membership.lease is not before and server.membership.lease.is_valid)
            seen = await server.follow(accepted)
            assert [record["outcome"] for record in seen.of_type("tool.finished")] == ["unknown"]
            assert [record["reason"] for record in seen.of_type("run.resumed")] == ["takeover"]
            assert len(seen.of_type("message.appended")) == 2
            assert (tool.calls, len(here.requests), server.membership.heartbeat.deaths) == (1, 1, 1)
            here.answers = (["fine"],)
            assert view(await server.ask("two", "s2")).status == "completed"


async def test_trap_paused_replica_wakes_up_as_owner(tmp_path: Path) -> None:
    """A replica that hung while others took its run over writes nothing when it wakes, and goes on as another one."""
    await check_wedge(tmp_path)


async def test_a_heart_that_outlives_its_event_loop_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Heartbeat._beat

    async def always(self: Heartbeat, *rest: Any) -> Callable[[], None]:
        self._ticked = self._clock.monotonic()
        return await original(self, *rest)

    async def forever(self: Heartbeat) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("tests.crash.test_wedged.SECONDS", 3)
    monkeypatch.setattr(Heartbeat, "_beat", always)
    monkeypatch.setattr(Heartbeat, "tick_forever", forever)
    with pytest.raises((AssertionError, TimeoutError)):
        await check_wedge(tmp_path)
