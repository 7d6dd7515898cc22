"""Past its deadline a replica starts nothing and commits nothing; a late beat lets it go on, a death does not."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.core.errors import StaleClaim, StoreUnavailable
from app.core.ids import Birth, Incarnation, Nonce
from app.core.keys import new_run_id
from app.core.messages import TextPart
from app.core.records import Effect, StatePatched, ToolStarted
from app.engine.batch import _Ledger
from app.engine.lease import Lease, Timing
from app.engine.ledger import StoredLedger
from app.engine.tenure import Tenure
from app.stores.base import Claimed, Replicas
from app.stores.bundle import Stores
from app.stores.head import Claimant, Submission
from app.stores.memory.stores import open_memory
from app.testing.clock import ManualClock
from app.testing.ids import SequentialIds
from app.testing.interception import intercepted
from tests.support.puppet import Call, Puppet
from tests.support.replica import AGENT, Replica, SharedMemory, key_of, replica, until
from tests.support.tools import CountingTool
from tests.support.viewer import view

SLOW = Timing(beat=0.01, lease=60, sweep=60, tick=30)
"""A lease that lapses only when a test says so."""
SECONDS = 5


class Wire:
    """The stores of one replica, whose calls are seen, and whose heartbeats hang when the test wants it."""

    def __init__(self) -> None:
        self.claimants: list[Claimant | None] = []
        self.calls: list[str] = []
        self.after: Callable[[str, tuple[Any, ...]], None] = lambda _method, _arguments: None
        """Told of each call to `sessions`, after it took effect."""
        self._memory = SharedMemory()
        self._is_open = threading.Event()
        self._is_open.set()
        self._is_hanging = threading.Event()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Stores, None]:
        async with self._memory.open() as stores:
            yield replace(stores, sessions=intercepted(stores.sessions, "sessions", self._see), pulse=self._pulse)

    async def hang(self) -> None:
        """A heartbeat hangs, and none before it is on its way."""
        self._is_open.clear()
        async with asyncio.timeout(SECONDS):
            while not self._is_hanging.is_set():
                await asyncio.sleep(0.005)
        await asyncio.sleep(0)

    def go_on(self) -> None:
        """Heartbeats get through."""
        self._is_open.set()

    async def _see(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        arguments: tuple[Any, ...] = getattr(call, "args", ())
        self.calls.append(method)
        if method == "submit":
            self.claimants.append(arguments[2])
        try:
            return await call()
        finally:
            self.after(method, arguments)

    @asynccontextmanager
    async def _pulse(self) -> AsyncGenerator[Replicas, None]:
        async with self._memory.pulse() as replicas:
            yield intercepted(replicas, "replicas", self._beat)

    async def _beat(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        while not self._is_open.is_set():
            self._is_hanging.set()
            await asyncio.sleep(0.005)
        self._is_hanging.clear()
        return await call()


@pytest.fixture
def wire() -> Wire:
    return Wire()


def lapse(server: Replica) -> None:
    server.membership.lease.deadline = 0.0
    assert not server.membership.lease.is_valid


async def die(server: Replica, stores: Stores) -> None:
    """Others declare the replica dead, and free what it owned; it does not know that yet."""
    (beat,) = await stores.replicas.live()
    assert await stores.replicas.bury(beat)
    await stores.sessions.sweep(server.membership.lease.incarnation, 100)


async def turns() -> None:
    """Whatever could run has run."""
    for _ in range(50):
        await asyncio.sleep(0)


@asynccontextmanager
async def hanging(
    wire: Wire, model: Puppet, directory: Path, *tools: CountingTool
) -> AsyncGenerator[tuple[Replica, Stores], None]:
    """Gives a replica with a valid lease that no heartbeat renews."""
    async with wire.open() as stores, replica(stores, model, directory, tools=tools, timing=SLOW) as server:
        await wire.hang()
        yield server, stores


@pytest.mark.parametrize("dead", [False, True])
async def test_nothing_is_committed(wire: Wire, tmp_path: Path, dead: bool) -> None:
    gate = asyncio.Event()
    model = Puppet(["an ", gate, "answer"])
    async with hanging(wire, model, tmp_path) as (server, stores), asyncio.timeout(SECONDS):
        accepted = await server.say("one")
        await model.began.wait()
        lapse(server)
        before = (await stores.sessions.read(key_of("s1"), 0)).head
        gate.set()
        await turns()
        assert (await stores.sessions.read(key_of("s1"), 0)).head == before
        if dead:
            await die(server, stores)
        wire.calls.clear()
        wire.go_on()
        seen = view(await server.read(accepted))
        assert seen.status == "completed"
        reasons = [record["reason"] for record in seen.of_type("run.resumed")]
        assert reasons == (["takeover"] if dead else [])
        assert server.engine._worker.takeovers == dead
        assert len(model.requests) == 1 + dead


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("dead", [False, True])
async def test_no_call_is_started(wire: Wire, tmp_path: Path, effect: Effect, dead: bool) -> None:
    tool = CountingTool(effect=effect)
    model = Puppet([Call("count", "{}")], ["done"])
    async with hanging(wire, model, tmp_path, tool) as (server, stores), asyncio.timeout(SECONDS):

        def lapse_after_the_commit(method: str, arguments: tuple[Any, ...]) -> None:
            if method == "commit":
                wire.after = lambda _method, _arguments: None
                lapse(server)

        wire.after = lapse_after_the_commit
        accepted = await server.say("one")
        await until(lambda: wire.calls[-1] == "commit")
        await turns()
        log = await stores.sessions.read(key_of("s1"), 0)
        assert any(isinstance(entry.record, ToolStarted) for entry in log.entries) == (effect is not Effect.PURE)
        assert not tool.entered.is_set()
        if dead:
            await die(server, stores)
        wire.go_on()
        seen = view(await server.read(accepted))
        assert seen.status == "completed"
        unsafe = dead and effect is Effect.UNSAFE
        assert len(tool.attempts) == (0 if unsafe else 1)
        assert seen.of_type("tool.finished")[0]["outcome"] == ("unknown" if unsafe else "ok")


@pytest.mark.parametrize("dead", [False, True])
async def test_the_model_is_not_asked(wire: Wire, tmp_path: Path, dead: bool) -> None:
    model = Puppet(["an answer"])
    async with hanging(wire, model, tmp_path) as (server, stores), asyncio.timeout(SECONDS):

        def lapse_after_the_claim(method: str, arguments: tuple[Any, ...]) -> None:
            if method == "submit":
                lapse(server)

        wire.after = lapse_after_the_claim
        accepted = await server.say("one")
        await turns()
        assert accepted.outcome == "started"
        assert not model.requests
        if dead:
            await die(server, stores)
        wire.go_on()
        assert view(await server.read(accepted)).status == "completed"
        assert len(model.requests) == 1


async def test_nothing_is_claimed_and_runs_wait_for_others(wire: Wire, tmp_path: Path) -> None:
    model = Puppet(["an answer"])
    async with hanging(wire, model, tmp_path) as (server, _), asyncio.timeout(SECONDS):
        lapse(server)
        await turns()
        wire.calls.clear()
        accepted = await server.say("one")
        await turns()
        assert accepted.outcome == "queued"
        assert (wire.claimants, wire.calls) == ([None], ["submit"])
        wire.go_on()
        assert view(await server.read(accepted)).status == "completed"
        assert "take" in wire.calls


async def test_a_submit_that_is_repeated_past_the_deadline_claims_nothing(wire: Wire, tmp_path: Path) -> None:
    async with hanging(wire, Puppet(["an answer"]), tmp_path) as (server, _), asyncio.timeout(SECONDS):

        def lapse_and_fail(method: str, arguments: tuple[Any, ...]) -> None:
            wire.after = lambda _method, _arguments: None
            lapse(server)
            raise StoreUnavailable("the reply is lost")

        wire.after = lapse_and_fail
        accepted = await server.say("one")
        assert [claimant is None for claimant in wire.claimants] == [False, True]
        wire.go_on()
        assert view(await server.read(accepted)).status == "completed"


async def test_a_claim_that_arrives_after_the_death_is_not_used(wire: Wire, tmp_path: Path) -> None:
    model = Puppet(["an answer"])
    async with hanging(wire, model, tmp_path) as (server, stores), asyncio.timeout(SECONDS):
        dead = server.membership.lease

        def die_meanwhile(method: str, arguments: tuple[Any, ...]) -> None:
            if method == "submit":
                server.membership.heartbeat._rejoin(dead)

        wire.after = die_meanwhile
        accepted = await server.say("one")
        assert accepted.outcome == "started"
        await turns()
        assert not model.requests
        assert server.engine._worker.free == 8
        assert await stores.sessions.sweep(dead.incarnation, 10) == 1
        wire.go_on()
        assert view(await server.read(accepted)).status == "completed"


async def test_streams_of_followers_outlive_the_death_and_runners_do_not(wire: Wire, tmp_path: Path) -> None:
    gate = asyncio.Event()
    model = Puppet(["half", gate])
    async with hanging(wire, model, tmp_path) as (server, stores), asyncio.timeout(SECONDS):
        accepted = await server.say("one")
        frames = (await server.engine.follow_accepted(accepted)).frames()
        await model.began.wait()
        data = [await anext(frames)]
        await die(server, stores)
        model.answers = (["whole"],)
        wire.go_on()
        data += [piece async for piece in frames]
        seen = view(b"".join(data))
        await until(lambda: server.engine._worker.free == 8)
    assert [record["reason"] for record in seen.of_type("run.resumed")] == ["takeover"]
    assert seen.status == "completed"


async def test_a_runner_whose_session_is_somebody_elses_is_stopped_before_its_heart_knows(
    wire: Wire, tmp_path: Path
) -> None:
    """The look at the heads finds out that the claim is void, and what is under way is stopped."""
    model = Puppet(["half", asyncio.Event()])
    async with hanging(wire, model, tmp_path) as (server, stores), asyncio.timeout(SECONDS):
        await server.say("one")
        await model.began.wait()
        await server.engine._worker.check_owned()
        await turns()
        assert server.engine._worker.free == 7
        await die(server, stores)
        await server.engine._worker.check_owned()
        await until(lambda: server.engine._worker.free == 8)
        assert server.membership.lease.is_valid


@asynccontextmanager
async def tenure(stores: Stores, lease: Lease, clock: ManualClock) -> AsyncGenerator[Tenure, None]:
    """Gives the tenure of a session that was just claimed."""
    ids = SequentialIds()
    key = key_of("s1")
    taker = Claimant(incarnation=lease.incarnation, nonce=Nonce("n"), digests={AGENT: "d"})
    submission = Submission(run_id=new_run_id(key, ids), input=(TextPart(text="x"),), birth=Birth("b"))
    claimed = await stores.sessions.submit(key, submission, taker)
    assert isinstance(claimed, Claimed)
    yield Tenure(key, claimed.claim, claimed.log, stores.sessions, stores.bus, clock, lease)


async def check_retry() -> None:
    """A commit that failed is not sent again past the deadline, and once only when the lease is valid again."""
    clock = ManualClock()
    lease = Lease(Incarnation("one"), clock, 4.0)
    lease.renew(clock.monotonic())
    attempts: list[float] = []

    async def fail_once(port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if method == "commit":
            attempts.append(clock.monotonic())
            if len(attempts) == 1:
                raise StoreUnavailable("the reply is lost")
        return await call()

    async with open_memory(clock) as opened:
        stores = replace(opened, sessions=intercepted(opened.sessions, "sessions", fail_once))
        async with tenure(stores, lease, clock) as held:
            commit = asyncio.get_running_loop().create_task(held.commit([StatePatched(at=clock.now(), title="t")]))
            await turns()
            clock.advance(5)
            await turns()
            assert attempts == [0], "it was sent past the deadline"
            lease.renew(clock.monotonic())
            assert await commit
            assert attempts == [0, 5]


async def test_a_commit_is_not_repeated_past_the_deadline() -> None:
    await check_retry()


async def test_a_tenure_that_does_not_ask_its_lease_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: Tenure) -> None:
        return

    monkeypatch.setattr(Tenure, "held", at_once)
    with pytest.raises(AssertionError):
        await check_retry()


async def test_a_commit_waits_and_then_fails_once_others_say_dead() -> None:
    clock = ManualClock()
    lease = Lease(Incarnation("one"), clock, 4.0)
    async with open_memory(clock) as stores, tenure(stores, lease, clock) as held:
        commit = asyncio.get_running_loop().create_task(held.commit([]))
        await turns()
        assert not commit.done()
        lease.die()
        with pytest.raises(StaleClaim):
            await commit


@pytest.mark.parametrize("dead", [False, True])
async def test_a_keyed_tool_notes_nothing_past_the_deadline(dead: bool) -> None:
    clock = ManualClock()
    lease = Lease(Incarnation("one"), clock, 4.0)
    async with open_memory(clock) as stores, tenure(stores, lease, clock) as held:
        ledger = _Ledger(stores.keyvalue, held)
        note = asyncio.get_running_loop().create_task(ledger.note("k", b"about to"))
        await turns()
        assert await StoredLedger(stores.keyvalue, held.key).recall("k") is None
        if dead:
            lease.die()
            with pytest.raises(StaleClaim):
                await note
        else:
            lease.renew(clock.monotonic())
            await note
            assert await ledger.recall("k") == b"about to"
