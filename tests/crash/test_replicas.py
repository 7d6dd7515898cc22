"""Several replicas on one store: one is killed, leaves or loses its store, and the others carry on."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from app.core.clock import SystemClock
from app.core.errors import BatonError, StoreUnavailable
from app.core.records import Effect, Entry, RunResumed
from app.core.tools import ToolOutput
from app.engine.lease import Timing
from app.llm.base import ModelEvent, ModelRequest
from app.stores.base import Replicas
from app.stores.bundle import Stores
from app.stores.bus import Live
from app.stores.postgres.stores import open_postgres
from app.stores.redis.stores import open_redis
from app.testing.interception import intercepted
from app.tools.base import ToolContext, describe
from tests.crash.scenarios import check_effects, check_log, tools
from tests.support.puppet import Call, Puppet
from tests.support.replica import FAST, WHO, Fleet, Replica, SharedMemory, key_of, replica, until
from tests.support.services.postgres import postgres as shared_postgres
from tests.support.services.redis import shared_server
from tests.support.tools import CountingTool, NoArguments
from tests.support.viewer import view

SECONDS = 20
"""How long anything may take."""


def memory() -> AbstractAsyncContextManager[Stores]:
    """Gives stores in memory that pretend to be far away."""
    return SharedMemory().open()


def redis() -> AbstractAsyncContextManager[Stores]:
    """Gives stores in a real Redis."""
    server = shared_server()
    return open_redis(server.url(server.fresh()), SystemClock())


def postgres() -> AbstractAsyncContextManager[Stores]:
    """Gives stores in a real Postgres."""
    return open_postgres(shared_postgres().database().url, SystemClock())


@pytest.fixture(params=[memory, redis, postgres], ids=lambda opener: opener.__name__)
async def stores(request: pytest.FixtureRequest) -> AsyncGenerator[Stores, None]:
    """Gives stores that many replicas share."""
    async with request.param() as opened:
        yield opened


@asynccontextmanager
async def fleet(
    stores: Stores, model: Puppet, directory: Path, world: tuple[CountingTool, ...] = (), timing: Timing = FAST
) -> AsyncGenerator[Fleet, None]:
    """Gives a fleet of replicas that are all alike."""
    start = partial(replica, stores, model, directory, tools=world, timing=timing)
    async with asyncio.timeout(SECONDS), Fleet(start).running() as opened:
        yield opened


async def seasoned(*replicas: Replica) -> None:
    """Those replicas may declare others dead."""
    await until(lambda: all(one.membership.lease.is_seasoned for one in replicas))


async def test_trap_killed_replica_leaves_its_session_already_running(stores: Stores, tmp_path: Path) -> None:
    """One of two replicas is killed in mid-answer, and the other finishes the run on the same stream, and the next."""
    model = Puppet(["half", asyncio.Event()])
    async with fleet(stores, model, tmp_path) as some:
        first, second = await some.start(), await some.start()
        accepted = await first.say("one")
        await model.began.wait()
        model.answers = (["whole answer"], ["b"])
        await some.kill(first)
        seen = await second.follow(accepted)
        assert [(r["reason"], r["attempt"]) for r in seen.of_type("run.resumed")] == [("takeover", 2)]
        assert seen.status == "completed"
        assert view(await second.ask("two")).status == "completed"
        assert second.engine._worker.takeovers == 1
        assert second.membership.sweeper.burials == 1


async def test_who_waits_on_the_other_replica_sees_it_all(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["half ", asyncio.Event()])
    async with fleet(stores, model, tmp_path) as some:
        first, second = await some.start(), await some.start()
        accepted = await first.say("one")
        async with asyncio.TaskGroup() as group:
            following = group.create_task(second.follow(accepted))
            await model.began.wait()
            model.answers = (["half as long"],)
            await some.kill(first)
        types = [record["type"] for record in following.result().records]
    assert types == ["run.queued", "run.started", "run.resumed", "message.appended", "run.finished"]


class Slow(Puppet):
    """Takes its time between two pieces."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        async for batch in super().stream(request):
            await asyncio.sleep(0.01)
            yield batch


class Client:
    """Sends one input to whichever replica lives, and asks for its end until it has come."""

    def __init__(self, some: Fleet, chance: Random, session: str) -> None:
        self._some, self._chance, self._session = some, chance, session

    async def talk(self) -> None:
        accepted = None
        while True:
            server = self._chance.choice(self._some.replicas())
            with suppress(BatonError, ConnectionError, TimeoutError):
                if accepted is None:
                    saying = server.say("go", self._session, key=self._session)
                    accepted = await self._some.request(server, saying)
                async with asyncio.timeout(0.5):
                    ended = await self._some.request(server, server.engine.finished(WHO, accepted.run_id))
                assert ended.status == "completed"
                return


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_again_and_again(stores: Stores, tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    model = Slow([*("piece " * 20).split(" "), Call("unsafe", "{}"), Call("keyed", "{}"), Call("pure", "{}")], ["done"])
    sessions = [f"s{number}" for number in range(12)]
    world = tools()
    async with fleet(stores, model, tmp_path, world) as some:
        for _ in range(3):
            await some.start()
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(Client(some, chance, session).talk())
            for _ in range(4):
                await asyncio.sleep(chance.uniform(0.05, 0.3))
                await some.kill(chance.choice(some.replicas()))
                await some.start()
    entries: list[Entry] = []
    for session in sessions:
        log = await stores.sessions.read(key_of(session), 0, 10_000)
        check_log(log.entries, (await stores.sessions.read(key_of(session))).state())
        entries += log.entries
    check_effects(tuple(entries), world)
    assert any(isinstance(entry.record, RunResumed) for entry in entries), "no kill met a run"


class Cut:
    """Wires that can be cut: all calls to the store fail then, also the heartbeats."""

    def __init__(self, stores: Stores) -> None:
        assert stores.pulse is not None
        self.is_cut = False
        self.is_hanging = False
        self._pulse = stores.pulse
        self.stores = replace(
            stores,
            sessions=intercepted(stores.sessions, "sessions", self._reach),
            heads=intercepted(stores.heads, "heads", self._reach),
            replicas=intercepted(stores.replicas, "replicas", self._reach),
            pulse=self._beat,
        )

    @asynccontextmanager
    async def _beat(self) -> AsyncGenerator[Replicas, None]:
        async with self._pulse() as replicas:
            yield intercepted(replicas, "replicas", self._reach)

    async def _reach(self, port: str, method: str, call: Any) -> Any:
        if self.is_hanging:
            await asyncio.Event().wait()
        if self.is_cut:
            raise StoreUnavailable("the wire is cut")
        return await call()


async def test_a_store_that_comes_back_finds_everybody_alive(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    model = Puppet(["half, ", gate, "whole"])
    cut = Cut(stores)
    async with fleet(cut.stores, model, tmp_path) as some:
        members = [await some.start() for _ in range(3)]
        await seasoned(*members)
        accepted = [await member.say("one", f"s{n}") for n, member in enumerate(members)]
        await until(lambda: len(model.requests) == 3)
        cut.is_cut = True
        await until(lambda: not any(member.membership.lease.is_valid for member in members))
        gate.set()
        cut.is_cut = False
        for member, item in zip(members, accepted, strict=True):
            seen = await member.follow(item)
            assert (seen.status, seen.of_type("run.resumed")) == ("completed", [])
            assert member.membership.heartbeat.lapses == 1
        assert sum(member.membership.sweeper.burials for member in members) == 0
        assert sum(member.membership.heartbeat.deaths for member in members) == 0


async def test_who_is_cut_off_alone_is_taken_over_and_comes_back_as_another(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["half", asyncio.Event()])
    cut = Cut(stores)
    async with replica(cut.stores, model, tmp_path) as lonely, fleet(stores, model, tmp_path) as some:
        other = await some.start()
        await seasoned(other)
        accepted = await lonely.say("one")
        await model.began.wait()
        model.answers = (["whole"],)
        cut.is_cut = True
        assert (await other.follow(accepted)).status == "completed"
        cut.is_cut = False
        await until(lambda: lonely.membership.heartbeat.deaths == 1 and lonely.membership.lease.is_valid)
        await until(lambda: lonely.engine._worker.free == lonely.services.slots)
        assert view(await lonely.ask("two", "s2")).status == "completed"


async def test_who_leaves_in_good_order_is_missed_by_nobody(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    keyed = CountingTool("keyed", Effect.KEYED, before=gate)
    model = Puppet([Call("keyed", "{}")], ["done"])
    async with fleet(stores, model, tmp_path, (keyed,)) as some:
        first, second = await some.start(), await some.start()
        accepted = await first.say("one")
        await keyed.entered.wait()
        await first.engine.drain(20)
        gate.set()
        assert [beat.incarnation for beat in await stores.replicas.live()] == [second.membership.lease.incarnation]
        assert await stores.replicas.buried() == ()
        seen = await second.follow(accepted)
        assert [record["reason"] for record in seen.of_type("run.resumed")] == ["handover"]
        assert second.membership.sweeper.burials == 0
        await some.kill(first)


class Stubborn:
    """A tool that will not be stopped."""

    def __init__(self) -> None:
        self.spec = describe("stubborn", "Stays.", NoArguments, Effect.UNSAFE, 60)
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        self.entered.set()
        while not self.leave.is_set():
            with suppress(asyncio.CancelledError):
                await self.leave.wait()
        return ToolOutput(text="left")


async def test_what_cannot_be_let_go_is_swept_by_the_one_that_leaves(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.CUT_SECONDS", 0.1)
    tool = Stubborn()
    model = Puppet([Call("stubborn", "{}")], ["done"])
    start = partial(replica, stores, model, tmp_path, tools=(tool,))
    async with start() as first, start() as second:
        async with asyncio.timeout(SECONDS):
            gone = first.membership.lease.incarnation
            accepted = await first.say("one")
            await tool.entered.wait()
            await first.engine.drain(0.05)
            assert await stores.replicas.buried() == (gone,)
            seen = await second.follow(accepted)
            tool.leave.set()
            assert [record["reason"] for record in seen.of_type("run.resumed")] == ["takeover"]
            assert [record["outcome"] for record in seen.of_type("tool.finished")] == ["unknown"]
            assert second.membership.sweeper.burials == 0
            await until(lambda: first.engine._worker.free == first.services.slots)


async def test_a_store_that_hangs_does_not_hang_the_end(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.membership.LEAVE_SECONDS", 0.3)
    cut = Cut(stores)
    async with replica(cut.stores, Puppet(["a"]), tmp_path) as server:
        cut.is_hanging = True
        async with asyncio.timeout(2):
            await server.engine.drain(20)
        cut.is_hanging = False
    assert [beat.incarnation for beat in await stores.replicas.live()] == [server.services.incarnation]


async def measure(stores: Stores, directory: Path, timing: Timing, rounds: int) -> list[float]:
    """Gives the seconds from each of so many kills to the first event of the run on the other replica, sorted."""
    model, chance = Puppet(["half", asyncio.Event()]), Random(rounds)
    start = partial(replica, stores, model, directory, timing=timing, slots=rounds)
    async with start() as survivor, Fleet(start).running() as some:
        await seasoned(survivor)
        return sorted([await takeover(stores, some, f"s{n}", chance.uniform(0, timing.beat)) for n in range(rounds)])


async def takeover(stores: Stores, some: Fleet, session: str, after: float) -> float:
    """Gives the seconds from the kill of a replica, so long after it took a run, to the run's next event."""
    loop = asyncio.get_running_loop()
    resumed: asyncio.Future[float] = loop.create_future()

    def hear(_: Live) -> None:
        if not resumed.done():
            resumed.set_result(loop.time())

    victim = await some.start()
    await victim.say("one", session)
    await asyncio.sleep(after)
    await some.kill(victim)
    killed = loop.time()
    stop = await stores.bus.subscribe(key_of(session), hear)
    try:
        return await resumed - killed
    finally:
        stop()


async def test_takeovers_are_quick(stores: Stores, tmp_path: Path) -> None:
    async with asyncio.timeout(SECONDS):
        taken = await measure(stores, tmp_path, FAST, 10)
    promised = 6 * FAST.lease / Timing().lease
    assert taken[len(taken) // 2] < 2 * promised, "half of them; twice as long, for a busy machine"
