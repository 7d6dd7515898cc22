"""The sweeper: who is declared dead and when, and what becomes of what the dead owned."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from app.core.errors import StoreUnavailable
from app.core.ids import AgentId, Birth, Incarnation, Nonce, SessionId, TenantId, UserId
from app.core.keys import SessionKey, new_run_id
from app.core.messages import TextPart
from app.core.tasks import Tasks
from app.engine.heartbeat import Heartbeat
from app.engine.lease import Lease, Timing
from app.engine.sweeper import Sweeper
from app.engine.takeover import bury_self
from app.stores.base import Beat, Claimed, Replicas
from app.stores.bundle import Stores
from app.stores.head import Claimant, Submission
from app.stores.memory.contents import Contents, Presence
from app.stores.memory.replicas import MemoryReplicas
from app.stores.memory.stores import open_memory
from app.testing.clock import ManualClock
from app.testing.ids import SequentialIds
from app.testing.interception import intercepted
from tests.support.replica import AGENT, WHO

ONE, TWO, THREE = Incarnation("one"), Incarnation("two"), Incarnation("three")
TIMING = Timing()
STEP = 0.05


@pytest.fixture
def clock() -> ManualClock:
    clock = ManualClock()
    clock.advance(100)
    return clock


@pytest.fixture
def contents() -> Contents:
    return Contents()


@pytest.fixture
async def stores(clock: ManualClock, contents: Contents) -> AsyncGenerator[Stores, None]:
    async with open_memory(clock, contents=contents) as opened:
        yield opened


async def own(stores: Stores, incarnation: Incarnation, *sessions: str) -> None:
    """Those sessions belong to the incarnation, each with a run."""
    await own_keys(stores, incarnation, [key_of(session) for session in sessions])


async def own_keys(stores: Stores, incarnation: Incarnation, keys: Sequence[SessionKey]) -> None:
    ids = SequentialIds(f"{incarnation}-{keys[0].session}-")
    for key in keys:
        taker = Claimant(incarnation=incarnation, nonce=Nonce(ids.token()), digests={AgentId(AGENT): "d"})
        submission = Submission(run_id=new_run_id(key, ids), input=(TextPart(text="x"),), birth=Birth(ids.token()))
        assert isinstance(await stores.sessions.submit(key, submission, taker), Claimed)


def key_of(session: str) -> SessionKey:
    return SessionKey(WHO.tenant, WHO.user, AgentId(AGENT), SessionId(session))


async def status(stores: Stores, session: str) -> str:
    return (await stores.heads.peek([key_of(session)]))[key_of(session)].status


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Member:
    """One replica's heart and sweeper, in the test's own event loop and time. `is_cut` cuts its wires."""

    def __init__(self, stores: Stores, clock: ManualClock, name: Incarnation) -> None:
        self.is_cut = False
        self._stores = replace(
            stores,
            replicas=intercepted(stores.replicas, "replicas", self._reach),
            sessions=intercepted(stores.sessions, "sessions", self._reach),
        )
        self.heart = Heartbeat(self._pulse, clock, SequentialIds(f"{name}-"), TIMING, name)
        self.sweeper = Sweeper(self._stores, clock, TIMING, lambda: self.heart.lease, Random(name).random)

    @property
    def lease(self) -> Lease:
        return self.heart.lease

    @asynccontextmanager
    async def living(self) -> AsyncGenerator[None, None]:
        async with Tasks() as tasks:
            tasks.start(self.heart.tick_forever())
            tasks.start(self.heart.beat_forever(lambda callback: callback()))
            tasks.start(self.sweeper.sweep_forever())
            await settle()
            yield

    @asynccontextmanager
    async def _pulse(self) -> AsyncGenerator[Replicas, None]:
        yield self._stores.replicas

    async def _reach(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if self.is_cut:
            raise StoreUnavailable("the wire is cut")
        return await call()


class World:
    """Some replicas over one store. Nobody waits: time passes when the test says so."""

    def __init__(self, stores: Stores, clock: ManualClock, names: Sequence[Incarnation]) -> None:
        self.clock = clock
        self.members = {name: Member(stores, clock, name) for name in names}
        self._lives: dict[Incarnation, AsyncExitStack] = {}

    @asynccontextmanager
    async def living(self) -> AsyncGenerator["World", None]:
        try:
            for name, member in self.members.items():
                self._lives[name] = AsyncExitStack()
                await self._lives[name].enter_async_context(member.living())
            yield self
        finally:
            for name in reversed(list(self._lives)):
                await self.kill(name)

    async def kill(self, name: Incarnation) -> None:
        await self._lives.pop(name).aclose()

    async def go_on(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)
            await settle()

    def burials(self) -> int:
        return sum(member.sweeper.burials for member in self.members.values())

    def deaths(self) -> int:
        return sum(member.heart.deaths for member in self.members.values())


async def test_the_silent_are_declared_dead_in_time_and_their_sessions_are_free(
    stores: Stores, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    woken = asyncio.Event()
    stop = await stores.bus.on_wake(woken.set)
    async with World(stores, clock, (ONE, TWO, THREE)).living() as world:
        await world.go_on(6)
        await own(stores, THREE, "a", "b")
        await world.go_on(0.5)
        await world.kill(THREE)
        killed = clock.monotonic()
        while await status(stores, "a") == "owned":
            await world.go_on(STEP)
            assert clock.monotonic() - killed < 6
        assert clock.monotonic() - killed > TIMING.lease - TIMING.beat
        await world.go_on(STEP)
        assert woken.is_set()
        assert (world.burials(), world.deaths()) == (1, 0)
        assert sum(member.sweeper.freed for member in world.members.values()) == 2
    stop()
    freed = [record for record in caplog.records if "freed" in record.message]
    assert [(getattr(r, "dead", None), getattr(r, "sessions", None)) for r in freed] == [(THREE, 2)]
    assert [getattr(r, "dead", None) for r in caplog.records if "declared" in r.message] == [THREE]


async def test_who_lives_is_left_alone(stores: Stores, clock: ManualClock) -> None:
    async with World(stores, clock, (ONE, TWO, THREE)).living() as world:
        await world.go_on(60)
        assert (world.burials(), world.deaths()) == (0, 0)


async def check_restart(stores: Stores, clock: ManualClock) -> None:
    """The store is away for 10 s, and the replicas find back one after the other: nobody dies of it."""
    async with World(stores, clock, (ONE, TWO, THREE)).living() as world:
        await world.go_on(10)
        for member in world.members.values():
            member.is_cut = True
        await world.go_on(10)
        assert not any(member.lease.is_valid for member in world.members.values())
        for member in world.members.values():
            member.is_cut = False
            await world.go_on(1.5)
        await world.go_on(10)
        assert all(member.lease.is_seasoned for member in world.members.values())
        assert (world.burials(), world.deaths()) == (0, 0)


async def test_a_store_restart_is_no_massacre(stores: Stores, clock: ManualClock) -> None:
    await check_restart(stores, clock)


async def test_a_sweeper_without_a_full_lease_of_its_own_would_be_noticed(
    stores: Stores, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "is_seasoned", Lease.is_valid)
    with pytest.raises(AssertionError):
        await check_restart(stores, clock)


class Careless(MemoryReplicas):
    """Buries whoever it is told to, also one that has beaten meanwhile."""

    def __init__(self, contents: Contents, clock: ManualClock) -> None:
        super().__init__(contents, clock)
        self._presences = contents.replicas

    async def bury(self, beat: Beat) -> bool:
        self._presences.setdefault(beat.incarnation, Presence()).buried = True
        return True


async def check_late_beat(stores: Stores, clock: ManualClock) -> None:
    """A replica whose beat comes just before its burial lives on."""

    async def beat_before(port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if method == "bury":
            await stores.replicas.beat(TWO)
        return await call()

    watched = replace(stores, replicas=intercepted(stores.replicas, "replicas", beat_before))
    lease = seasoned(clock)
    sweeper = Sweeper(watched, clock, TIMING, lambda: lease)
    await stores.replicas.beat(TWO)
    for _ in range(6):
        await sweeper.look()
        clock.advance(1)
        lease.renew(clock.monotonic())
    assert sweeper.burials == 0
    assert await stores.replicas.buried() == ()


def seasoned(clock: ManualClock) -> Lease:
    lease = Lease(ONE, clock, TIMING.lease)
    for _ in range(5):
        lease.renew(clock.monotonic())
        clock.advance(1)
    return lease


async def test_trap_a_beat_in_the_last_moment_prevents_the_burial(stores: Stores, clock: ManualClock) -> None:
    """A sweep that has read an old beat does not kill the live peer that has beaten since."""
    await check_late_beat(stores, clock)


async def test_a_burial_that_compares_no_beat_would_be_noticed(
    stores: Stores, clock: ManualClock, contents: Contents
) -> None:
    with pytest.raises(AssertionError):
        await check_late_beat(replace(stores, replicas=Careless(contents, clock)), clock)


async def test_a_store_whose_clock_is_put_forward_kills_nobody(stores: Stores, clock: ManualClock) -> None:
    ahead = 0.0

    async def shift(port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        found = await call()
        return tuple(Beat(b.incarnation, b.count, b.age + ahead) for b in found) if method == "live" else found

    shifted = replace(stores, replicas=intercepted(stores.replicas, "replicas", shift))
    async with World(shifted, clock, (ONE, TWO, THREE)).living() as world:
        await world.go_on(10)
        ahead = 3600.0
        await world.go_on(1)
        ahead = 0.0
        await world.go_on(10)
        assert (world.burials(), world.deaths()) == (0, 0)


async def test_nobody_buries_itself(stores: Stores, clock: ManualClock) -> None:
    await stores.replicas.beat(ONE)
    lease = seasoned(clock)
    sweeper = Sweeper(stores, clock, TIMING, lambda: lease)
    for _ in range(6):
        await sweeper.look()
        clock.advance(1)
        lease.renew(clock.monotonic())
    assert sweeper.burials == 0


async def test_a_half_done_sweep_is_finished_by_anyone(stores: Stores, clock: ManualClock) -> None:
    await own(stores, TWO, "a", "b", "c")
    await stores.replicas.beat(TWO)
    (beat,) = await stores.replicas.live()
    await stores.replicas.bury(beat)
    await stores.sessions.sweep(TWO, 1)
    lease = Lease(ONE, clock, TIMING.lease)
    sweeper = Sweeper(stores, clock, TIMING, lambda: lease)
    await sweeper.look()
    assert sweeper.sweeps == 0, "without a lease, nothing is done"
    lease.renew(clock.monotonic())
    await sweeper.look()
    assert {await status(stores, session) for session in "abc"} == {"ready"}
    assert sweeper.freed == 2


async def test_a_tombstone_is_kept_and_swept_until_nothing_can_arrive(stores: Stores, clock: ManualClock) -> None:
    await stores.replicas.beat(TWO)
    (beat,) = await stores.replicas.live()
    await stores.replicas.bury(beat)
    lease = Lease.endless(ONE, clock)
    sweeper = Sweeper(stores, clock, TIMING, lambda: lease)
    for second in range(605):
        if second == 590:
            await own(stores, TWO, "late")
        assert await stores.replicas.buried() == ((TWO,) if second <= 601 else ())
        await sweeper.look()
        clock.advance(1)
        assert second < 602 or await status(stores, "late") == "ready"
    assert sweeper.freed == 1
    assert 60 <= sweeper.sweeps <= 63, "every 10 s, and again at once after it freed something"


async def test_trap_the_sweep_never_saw_most_sessions_for_want_of_a_tenant(stores: Stores, clock: ManualClock) -> None:
    """A sweep frees what the dead replica owned for every tenant and user."""
    await stores.replicas.beat(TWO)
    await stores.replicas.bury((await stores.replicas.live())[0])
    keys = [SessionKey(TenantId(t), UserId(u), AgentId(AGENT), SessionId("s")) for t in "ab" for u in "xy"]
    await own_keys(stores, TWO, keys)
    lease = Lease.endless(ONE, clock)
    sweeper = Sweeper(stores, clock, TIMING, lambda: lease)
    await sweeper.look()
    assert sweeper.freed == 4
    assert {head.status for head in (await stores.heads.peek(keys)).values()} == {"ready"}


async def test_one_bad_grave_does_not_keep_the_others_from_being_swept(stores: Stores, clock: ManualClock) -> None:
    for name in (TWO, THREE):
        await stores.replicas.beat(name)
        await stores.replicas.bury((await stores.replicas.live())[0])
        await own(stores, name, f"of {name}")

    async def fail_two(port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if TWO in getattr(call, "args", ()):
            raise StoreUnavailable("the partition is away")
        return await call()

    lease = Lease.endless(ONE, clock)
    broken = replace(stores, sessions=intercepted(stores.sessions, "sessions", fail_two))
    await Sweeper(broken, clock, TIMING, lambda: lease).look()
    assert (await status(stores, "of two"), await status(stores, "of three")) == ("owned", "ready")


@pytest.mark.parametrize(
    ("sessions", "settled", "left"),
    [((), True, ()), ((), False, (ONE,)), (("a",), True, (ONE,)), (("a",), False, (ONE,))],
)
async def test_who_leaves_owning_nothing_leaves_no_tombstone(
    stores: Stores, sessions: tuple[str, ...], settled: bool, left: tuple[Incarnation, ...]
) -> None:
    await stores.replicas.beat(ONE)
    if sessions:
        await own(stores, ONE, *sessions)
    assert await bury_self(stores, ONE, is_settled=settled) == len(sessions)
    assert await stores.replicas.live() == ()
    assert await stores.replicas.buried() == left
    assert {await status(stores, session) for session in sessions} <= {"ready"}
    assert await bury_self(stores, ONE, is_settled=settled) == 0
