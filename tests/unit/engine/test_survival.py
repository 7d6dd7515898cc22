"""What fails with a bug is logged and survived where it concerns one session, and ends the process where it may not."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.core.clock import SystemClock
from app.core.ids import Birth, Incarnation
from app.core.keys import SessionKey
from app.engine.channel import Channel
from app.engine.heartbeat import Heartbeat
from app.engine.lease import Lease
from app.stores.base import Position, Replicas
from app.stores.bundle import Stores
from app.stores.bus import Announced, Gone, Live, OpenItems
from app.stores.memory.contents import Contents
from app.stores.memory.replicas import MemoryReplicas
from app.testing.ids import SequentialIds
from app.testing.interception import intercepted
from tests.contracts.scenes import begin, key, title
from tests.support.puppet import Puppet
from tests.support.replica import FAST, replica, until
from tests.support.viewer import view

KEY = key()
BUG = "a bug"


class Failing:
    """Lets calls of one method fail with what is no error of Baton's, until it is told to stop."""

    def __init__(self, method: str) -> None:
        self.failed = 0
        self.is_failing = True
        self._method = method

    async def __call__(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if self.is_failing and method == self._method:
            self.failed += 1
            raise RuntimeError(BUG)
        return await call()


async def test_a_take_that_fails_is_tried_again(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.engine.worker.TAKE_SECONDS", 0.02)
    failing = Failing("take")
    spoilt = replace(stores, sessions=intercepted(stores.sessions, "sessions", failing))
    async with replica(spoilt, Puppet(["fine"]), tmp_path) as server, asyncio.timeout(5):
        await until(lambda: failing.failed >= 2)
        failing.is_failing = False
        assert view(await server.ask("one")).status == "completed"
    assert "could not look for ready sessions" in caplog.text


@pytest.mark.parametrize("module", ["engine", "broadcast"])
async def test_a_look_that_fails_is_tried_again(
    stores: Stores,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: str,
) -> None:
    monkeypatch.setattr(f"app.engine.{module}.TICK_SECONDS", 0.02)
    failing, gate = Failing("peek"), asyncio.Event()
    spoilt = replace(stores, heads=intercepted(stores.heads, "heads", failing))
    async with replica(spoilt, Puppet(["half ", gate, "whole"]), tmp_path) as server, asyncio.timeout(5):
        accepted = await server.say("one")
        reading = asyncio.get_running_loop().create_task(server.read(accepted))
        await until(lambda: failing.failed >= 2)
        gate.set()
        assert view(await reading).status == "completed"
    assert BUG in caplog.text


class Desk:
    """What a channel needs; it counts nothing."""

    def __init__(self, stores: Stores) -> None:
        self.sessions = stores.sessions
        self.gaps = 0
        self.work: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[None, None, None]) -> object:
        self.work.append(asyncio.get_running_loop().create_task(work))
        return None

    async def ask(self, key: SessionKey) -> OpenItems | None:
        return None


@asynccontextmanager
async def channel(stores: Stores) -> AsyncGenerator[tuple[Channel, Desk, Birth], None]:
    """Gives a channel of a session whose run has begun."""
    head = (await begin(stores, KEY)).log.head
    desk = Desk(stores)
    opened = Channel(KEY, desk)
    opened.begin(head.birth, head.seq, head.epoch, 0)
    yield opened, desk, head.birth


async def test_a_read_that_fails_ends_the_channel_and_nothing_else(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    async with channel(stores) as (opened, desk, birth):
        desk.sessions = intercepted(stores.sessions, "sessions", Failing("read"))
        opened.deliver(Announced(birth, opened.ring.seq + 1))
        await asyncio.gather(*desk.work)
        assert opened.gone
    assert "lost track of" in caplog.text


async def test_a_follower_that_fails_does_not_take_the_others_along(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> bool:
        raise RuntimeError(BUG)

    async with channel(stores) as (opened, _, _):
        before, failing, after = opened.news(lambda: False), opened.news(fail), opened.news(lambda: False)
        opened.pulse()
        assert before.done()
        assert after.done()
        with pytest.raises(RuntimeError, match=BUG):
            await failing
    assert BUG in caplog.text


async def test_another_logs_end_does_not_end_this_one(stores: Stores) -> None:
    """A session was deleted and made again: its followers do not mind that the deletion is told once more."""
    async with channel(stores) as (opened, _, birth):
        opened.deliver(Gone(Birth("before")))
        assert not opened.gone
        opened.deliver(Gone(birth))
        assert opened.gone


async def test_an_announcement_whose_records_had_no_room_is_read_at_once(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long answer's end comes without delay: its deltas came before it, on the same way."""
    monkeypatch.setattr("app.engine.channel.EXPECT_SECONDS", 60)
    async with channel(stores) as (opened, desk, birth):
        head = (await stores.sessions.read(KEY, 0)).head
        await stores.sessions.append(KEY, Position(birth, head.seq), [title("one"), title("two")])
        told: Live = Announced(birth, head.seq + 2, is_cut=True)
        opened.deliver(told)
        await asyncio.gather(*desk.work)
        assert opened.ring.seq == head.seq + 2


class Wire(MemoryReplicas):
    """Beats until the test spoils it."""

    def __init__(self) -> None:
        super().__init__(Contents(), SystemClock())
        self.fault: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def pulse(self) -> AsyncGenerator[Replicas, None]:
        yield self

    async def beat(self, incarnation: Incarnation) -> None:
        self.fault()
        await super().beat(incarnation)


def heartbeat(wire: Wire) -> Heartbeat:
    return Heartbeat(wire.pulse, SystemClock(), SequentialIds(), FAST, Incarnation("one"))


def nothing(_: Lease) -> None:
    return


async def test_trap_a_cancelled_wait_inside_the_driver_stops_the_heart(caplog: pytest.LogCaptureFixture) -> None:
    """A CancelledError that is nobody's cancel is an error like others: the heart beats on, over another connection."""
    wire = Wire()
    heart = heartbeat(wire)

    def cancel() -> None:
        wire.fault = lambda: None
        raise asyncio.CancelledError

    async with heart.beating(nothing), asyncio.timeout(5):
        before = heart.beats
        wire.fault = cancel
        await until(lambda: heart.beats > before + 2)
        assert heart.misses >= 1
    assert "cancelled by what it waited for" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_trap_a_replica_whose_heart_has_stopped_goes_on_half_dead() -> None:
    """A heartbeat's thread that ends takes the replica with it, loudly."""
    wire = Wire()

    def exit_thread() -> None:
        raise SystemExit

    async def live() -> None:
        async with heartbeat(wire).beating(nothing), asyncio.timeout(5):
            wire.fault = exit_thread
            await asyncio.Event().wait()

    with pytest.raises(BaseExceptionGroup) as raised:
        await live()
    assert raised.group_contains(RuntimeError, match="thread has ended")
