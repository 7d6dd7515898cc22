"""The rig of the torture test: replicas of the real server behind a real balancer, a slow model, and one store."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession, TCPConnector
from msgspec import Struct

from tests.support.server import Server
from tests.support.services.binaries import free_port
from tests.torture.clients import Driver, Follower, disturb
from tests.torture.faults import FaultLog
from tests.torture.model import SlowModel
from tests.torture.witness import Witness

Balancer = Callable[[Path, Sequence[str]], AbstractContextManager[str]]
Injure = Callable[["Rig"], Coroutine[None, None, None]]


def _number(name: str, default: float) -> float:
    return float(os.environ.get(f"BATON_TEST_TORTURE_{name}", default))


class Load(Struct, frozen=True, kw_only=True):
    """How much there is to do. The defaults are CI's; the environment asks for more."""

    sessions: int = int(_number("SESSIONS", 20))
    fast: int = int(_number("FAST", 20))
    slow: int = int(_number("SLOW", 200))
    fast_every: float = _number("FAST_EVERY", 0.2)
    slow_every: float = _number("SLOW_EVERY", 5.0)
    append_every: float = _number("APPEND_EVERY", 0.05)
    seconds: float = _number("SECONDS", 8.0)
    pieces: int = int(_number("PIECES", 15))
    pace: float = _number("PACE", 0.1)
    settle: float = 60.0
    """Seconds in which what was begun must have ended."""


class Place(Struct, frozen=True, kw_only=True):
    """Where the servers run, and what they store things in."""

    home: Path
    variables: Mapping[str, str]
    replicas: int
    balancer: Balancer
    mutation: str = "nothing"


class Rig:
    """Replicas, the sessions on them, and who follows these."""

    def __init__(self, base: str, replicas: Sequence[Server], load: Load, http: ClientSession) -> None:
        self.replicas = replicas
        self.load = load
        self.faults = FaultLog()
        self.drivers = [Driver(http, base, f"torture-{i}") for i in range(load.sessions)]
        paces = [load.fast_every] * load.fast + [load.slow_every] * load.slow
        self.followers = [self._follower(http, i, every) for i, every in enumerate(paces)]
        self.appended = 0

    def _follower(self, http: ClientSession, number: int, every: float) -> Follower:
        witness = Witness(self.faults.explains, whole_session=True)
        return Follower(http, self.drivers[number % len(self.drivers)], every, witness)

    async def torture(self, injure: Injure | None = None) -> None:
        """Everybody was shown everything, rightly. Raises what was wrong; faults last as long as `injure` runs."""
        await asyncio.gather(*(driver.create() for driver in self.drivers))
        driving, following = asyncio.Event(), asyncio.Event()
        async with asyncio.timeout(self.load.seconds + self.load.settle), asyncio.TaskGroup() as group:
            for follower in self.followers:
                group.create_task(follower.run(following.is_set))
            drives = [group.create_task(driver.drive(driving.is_set)) for driver in self.drivers]
            disturbing = group.create_task(disturb(self.drivers, self.load.append_every, driving.is_set))
            await (asyncio.sleep(self.load.seconds) if injure is None else injure(self))
            driving.set()
            await asyncio.gather(*drives)
            self.appended = await disturbing
            await self._settle()
            following.set()
        for follower in self.followers:
            follower.seen.must_equal(follower.driver.records)

    async def _settle(self) -> None:
        """Nothing is added to any log, and every follower was shown all of its own."""
        for driver in self.drivers:
            while not await driver.is_idle():
                await asyncio.sleep(0.1)
            await driver.read_log()
        while not all(follower.has_seen_all for follower in self.followers):
            await asyncio.sleep(0.05)

    @property
    def summary(self) -> str:
        """Gives what was done, in one line."""
        seen = [follower.seen for follower in self.followers]
        names = ("gap", "reset", "item.snapshot")
        return (
            f"{sum(driver.finished for driver in self.drivers)} runs, {self.appended} outside appends, "
            f"{sum(follower.connections for follower in self.followers)} connections, "
            f"{sum(one.events for one in seen)} events, {sum(one.compared for one in seen)} texts compared, "
            + ", ".join(f"{sum(one.names.count(name) for one in seen)} {name}s" for name in names)
        )


@asynccontextmanager
async def rigged(place: Place, load: Load) -> AsyncGenerator[Rig, None]:
    """Gives the rig, everything ready. Afterwards nothing of it runs."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(SlowModel(load.pieces, load.pace))
        replicas = [_replica(place, load, model, i) for i in range(place.replicas)]
        for replica in replicas:
            stack.callback(_end, replica)
            await replica.start()
        addresses = [f"127.0.0.1:{replica.port}" for replica in replicas]
        base = stack.enter_context(place.balancer(place.home, addresses))
        connector = TCPConnector(limit=0, force_close=True)
        http = await stack.enter_async_context(ClientSession(connector=connector))
        yield Rig(base, replicas, load, http)


def _replica(place: Place, load: Load, model: SlowModel, number: int) -> Server:
    variables = {
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "sk-torture",
        "BATON_MODEL": "openai:slow",
        "BATON_DATA_DIR": str(place.home / "data"),
        "BATON_AGENTS_DIR": str(Path(__file__).parent / "agents"),
        "BATON_TEST_PACE": str(load.pace),
        "BATON_LOG_LEVEL": "warning",
        **place.variables,
    }
    server = Server(place.home / f"replica{number}", variables, ("tests.torture.launcher", place.mutation))
    server.port = free_port()
    return server


def _end(server: Server) -> None:
    if server.is_running():
        server.kill()
