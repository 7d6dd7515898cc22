"""The heartbeat: over a wire that fails, hangs, comes back, or says that this replica is dead."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from app.core.clock import Clock, SystemClock
from app.core.errors import ReplicaDead, StoreUnavailable
from app.core.ids import Incarnation
from app.engine.heartbeat import Heartbeat
from app.engine.lease import Lease, Timing
from app.stores.base import Replicas
from app.stores.memory.contents import Contents
from app.stores.memory.replicas import MemoryReplicas
from app.testing.clock import ManualClock
from app.testing.ids import SequentialIds
from tests.support.replica import FAST, until

ONE = Incarnation("one")


class Wire(MemoryReplicas):
    """A `Replicas` that does what the test wants. `connections` counts how often it was opened."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Contents(), clock)
        self.beaten: list[tuple[Incarnation, str]] = []
        """Who beat, and in which thread."""
        self.connections = 0
        self.fault: Callable[[], None] = lambda: None
        self.is_hanging = False
        self.is_clinging = False
        """Whether a connection cannot be closed."""

    @asynccontextmanager
    async def pulse(self) -> AsyncGenerator[Replicas, None]:
        self.connections += 1
        yield self
        if self.is_clinging:
            await asyncio.Event().wait()

    async def beat(self, incarnation: Incarnation) -> None:
        self.fault()
        if self.is_hanging:
            await asyncio.Event().wait()
        await super().beat(incarnation)
        self.beaten.append((incarnation, threading.current_thread().name))


def fail(error: Exception) -> None:
    raise error


def heartbeat(wire: Wire, clock: Clock, timing: Timing = FAST) -> Heartbeat:
    return Heartbeat(wire.pulse, clock, SequentialIds(), timing, ONE)


@pytest.fixture
def wire() -> Wire:
    return Wire(SystemClock())


def nothing(_: Lease) -> None:
    return


async def test_it_beats_in_a_thread_of_its_own(wire: Wire) -> None:
    heart = heartbeat(wire, SystemClock())
    async with heart.beating(nothing):
        assert heart.lease.is_valid
        await until(lambda: heart.beats >= 3)
    assert set(wire.beaten) == {(ONE, "heartbeat")}
    assert wire.connections == 1
    assert heart.misses == 0


async def test_it_stops_at_once_also_when_the_wire_hangs(wire: Wire) -> None:
    heart = heartbeat(wire, SystemClock(), Timing(beat=0.02, lease=60))
    loop = asyncio.get_running_loop()
    async with heart.beating(nothing):
        wire.is_hanging = True
        beats = heart.beats
        began = loop.time()
    assert loop.time() - began < 1
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
    assert heart.beats <= beats + 1


async def test_a_start_without_any_beat_fails(wire: Wire) -> None:
    wire.fault = partial(fail, StoreUnavailable("gone"))
    with pytest.raises(StoreUnavailable, match="no heartbeat"):
        async with heartbeat(wire, SystemClock()).beating(nothing):
            pytest.fail("it began without a lease")


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), ConnectionResetError(), RuntimeError("a bug")])
async def test_it_comes_back_when_the_store_does(wire: Wire, error: Exception) -> None:
    heart = heartbeat(wire, SystemClock())
    changes: list[Lease] = []
    async with heart.beating(changes.append):
        wire.fault = partial(fail, error)
        await until(lambda: not heart.lease.is_valid)
        wire.fault = lambda: None
        await until(lambda: heart.lease.is_valid)
    assert wire.connections > 2
    assert heart.lapses >= 1
    assert {lease.incarnation for lease in changes} == {ONE}
    assert len(changes) >= 2


@pytest.mark.parametrize("clinging", [False, True])
async def test_a_beat_that_hangs_is_given_up_and_the_next_has_another_connection(wire: Wire, clinging: bool) -> None:
    heart = heartbeat(wire, SystemClock())
    async with heart.beating(nothing):
        wire.is_hanging, wire.is_clinging = True, clinging
        await until(lambda: wire.connections >= 3)
        assert heart.misses >= 2
        wire.is_hanging = False
        await until(lambda: heart.lease.is_valid)
        wire.is_clinging = False


async def test_who_is_declared_dead_joins_again_as_another(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    heart = heartbeat(wire, SystemClock())
    changes: list[Lease] = []
    async with heart.beating(changes.append):
        before = heart.lease
        (beat,) = await wire.live()
        await wire.bury(beat)
        await until(lambda: heart.lease is not before and heart.lease.is_valid)
        assert before.is_dead
        assert heart.deaths == 1
        assert changes[1:] == [heart.lease, heart.lease], "once when it is another, once when it is valid"
        assert heart.lease.incarnation != ONE
    (told,) = (record for record in caplog.records if "declared dead" in record.message)
    assert (getattr(told, "dead", None), getattr(told, "incarnation", None)) == (ONE, heart.lease.incarnation)


async def test_a_loop_that_does_not_tick_has_no_heartbeat() -> None:
    clock = ManualClock()
    wire = Wire(clock)
    heart = heartbeat(wire, clock, Timing())
    async with beating_here(heart):
        for _ in range(10):
            await pass_time(clock, 1.0)
        assert len(wire.beaten) == 4, "at 0, 1, 2 and 3 s"
        heart._ticked = clock.monotonic()
        await pass_time(clock, 1.0)
        assert len(wire.beaten) == 5
        assert heart.misses == 7


async def pass_time(clock: ManualClock, seconds: float) -> None:
    clock.advance(seconds)
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def beating_here(heart: Heartbeat) -> AsyncGenerator[None, None]:
    """The heart beats in the test's own loop, in which no tick is seen."""

    def post(callback: Callable[[], None]) -> None:
        callback()

    beating = asyncio.get_running_loop().create_task(heart.beat_forever(post))
    for _ in range(10):
        await asyncio.sleep(0)
    try:
        yield
    finally:
        beating.cancel()


async def check_deadline() -> None:
    """A beat whose answer took 3 s leaves 1 s; the next one hangs."""
    clock = ManualClock()
    wire = Wire(clock)

    def take_long() -> None:
        wire.is_hanging = clock.monotonic() > 0
        clock.advance(3)

    wire.fault = take_long
    heart = heartbeat(wire, clock, Timing())
    async with beating_here(heart):
        assert heart.lease.deadline == 4
        assert len(wire.beaten) == 1


async def test_the_deadline_runs_from_before_the_send() -> None:
    await check_deadline()


async def test_a_deadline_that_runs_from_the_answer_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Heartbeat._renew

    def from_the_answer(self: Heartbeat, lease: Lease, sent: float) -> None:
        original(self, lease, self._clock.monotonic())

    monkeypatch.setattr(Heartbeat, "_renew", from_the_answer)
    with pytest.raises(AssertionError):
        await check_deadline()


async def test_a_wire_that_says_dead_again_and_again_kills_once_each(wire: Wire) -> None:
    heart = heartbeat(wire, SystemClock())
    async with heart.beating(nothing):
        wire.fault = partial(fail, ReplicaDead("dead"))
        await until(lambda: heart.deaths == 3)
        wire.fault = lambda: None
        await until(lambda: heart.lease.is_valid)
        assert heart.lease.incarnation == f"t{heart.deaths}"
