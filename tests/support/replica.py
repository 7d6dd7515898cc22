"""A whole engine in a test: any stores, any model, tools of the test's own. Several may share one store."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from app.auth.base import Principal
from app.core.clock import Clock, SystemClock
from app.core.ids import ANONYMOUS, AgentId, Incarnation, RandomIds, SessionId, TenantId
from app.core.keys import SessionKey
from app.core.messages import TextPart
from app.core.records import Busy
from app.core.tasks import Tasks
from app.engine.catalog import AgentCatalog
from app.engine.engine import Engine
from app.engine.lease import Timing
from app.engine.membership import Shared
from app.engine.services import Services
from app.engine.views import Accepted, Invocation
from app.llm.base import Model
from app.stores.base import Replicas
from app.stores.bundle import Stores
from app.stores.memory.contents import Contents
from app.stores.memory.replicas import MemoryReplicas
from app.stores.memory.stores import open_memory
from app.testing.interception import intercepted
from app.tools.base import Tool
from app.tools.toolbox import Toolbox, builtin_tools
from app.workspace.local import LocalWorkspaces
from tests.support.viewer import Viewer, view

T = TypeVar("T")

AGENT = AgentId("assistant")
WHO = Principal(TenantId("acme"), ANONYMOUS)
FAST = Timing(beat=0.1, lease=0.4, sweep=0.1, tick=0.3)
"""The true timing, ten times as fast."""


class Replica:
    """One engine, and the shortest way to use it."""

    def __init__(self, engine: Engine, services: Services) -> None:
        self.engine = engine
        self.services = services

    @property
    def membership(self) -> Shared:
        """Gives its membership among others, with its heartbeat and its sweeper."""
        assert isinstance(self.engine.membership, Shared)
        return self.engine.membership

    async def say(
        self, text: str, session: str = "s1", policy: Busy = Busy.ENQUEUE, who: Principal = WHO, key: str | None = None
    ) -> Accepted:
        """The text is submitted."""
        invocation = Invocation(
            agent=AGENT,
            input=(TextPart(text=text),),
            session=SessionId(session),
            policy=policy,
            idempotency_key=key,
        )
        return await self.engine.submit(who, invocation)

    async def read(self, accepted: Accepted) -> bytes:
        """Gives the run's whole stream."""
        stream = await self.engine.follow_accepted(accepted)
        return b"".join([data async for data in stream.frames()])

    async def follow(self, accepted: Accepted) -> Viewer:
        """Gives what a client sees that follows the run here, from its first record to its end."""
        stream = await self.engine.follow_run(WHO, accepted.run_id, None)
        return view(b"".join([data async for data in stream.frames()]))

    async def ask(self, text: str, session: str = "s1") -> bytes:
        """Gives the stream of a new run, once it has ended."""
        return await self.read(await self.say(text, session))


@asynccontextmanager
async def replica(
    stores: Stores,
    model: Model,
    directory: Path,
    *,
    tools: tuple[Tool, ...] = (),
    agent: str = "{}",
    slots: int = 8,
    incarnation: str | None = None,
    models: Mapping[str, Model] | None = None,
    prepare: Callable[[Path], None] | None = None,
    timing: Timing = FAST,
) -> AsyncGenerator[Replica, None]:
    """Gives a running replica. `agent` is the agent.yaml of the agent `assistant`."""
    folder = directory / "agents" / AGENT
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agent.yaml").write_text(agent)
    (folder / "AGENTS.md").write_text("You are a test.")
    if prepare is not None:
        prepare(directory)
    toolbox = Toolbox((*builtin_tools(), *tools))
    ids = RandomIds()
    services = Services(
        incarnation=Incarnation(incarnation or ids.token()),
        stores=stores,
        catalog=AgentCatalog(directory / "agents", tools=toolbox.names, providers=("puppet", *(models or {}))),
        models={"puppet": model, **(models or {})},
        default_model="puppet:puppet",
        toolbox=toolbox,
        workspaces=LocalWorkspaces(directory / "workspaces"),
        clock=SystemClock(),
        ids=ids,
        slots=slots,
        timing=timing,
    )
    engine = Engine(services)
    async with engine.running():
        yield Replica(engine, services)


def key_of(session: str, who: Principal = WHO) -> SessionKey:
    """Names a session of the test's agent."""
    return SessionKey(who.tenant, who.user, AGENT, SessionId(session))


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Returns once the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class SharedMemory:
    """Stores in memory that pretend to be far away: many replicas may share them, from any thread."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._contents = Contents()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Stores, None]:
        """Gives the stores for one event loop, which has a bus of its own."""
        async with open_memory(self._clock, contents=self._contents) as stores:
            yield replace(
                stores,
                sessions=intercepted(stores.sessions, "sessions", self._alone),
                runs=intercepted(stores.runs, "runs", self._alone),
                heads=intercepted(stores.heads, "heads", self._alone),
                replicas=intercepted(stores.replicas, "replicas", self._alone),
                keyvalue=intercepted(stores.keyvalue, "keyvalue", self._alone),
                blobs=intercepted(stores.blobs, "blobs", self._alone),
                pulse=self.pulse,
            )

    @asynccontextmanager
    async def pulse(self) -> AsyncGenerator[Replicas, None]:
        """Gives a `Replicas` for whichever thread."""
        yield intercepted(MemoryReplicas(self._contents, self._clock), "replicas", self._alone)

    async def _alone(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        with self._lock:  # nothing waits in a store in memory, so this does not either
            return await call()


class Fleet:
    """Replicas that come and go, each in a task of its own."""

    def __init__(self, start: Callable[[], AbstractAsyncContextManager[Replica]]) -> None:
        self._start = start
        self._tasks = Tasks()
        self._lives: dict[Replica, asyncio.Task[None]] = {}
        self._requests: dict[Replica, set[asyncio.Task[Any]]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Fleet", None]:
        """Gives the fleet; what is left of it is dead afterwards."""
        async with self._tasks:
            yield self

    async def start(self) -> Replica:
        """Gives another replica."""
        born: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()
        task = self._tasks.start(self._live(born))
        replica = await born
        self._lives[replica], self._requests[replica] = task, set()
        return replica

    def replicas(self) -> list[Replica]:
        """Gives those that live, the oldest first."""
        return list(self._lives)

    async def kill(self, replica: Replica) -> None:
        """The replica is dead, without a word to anybody, and so are the requests to it."""
        dying = [*self._requests.pop(replica), self._lives.pop(replica)]
        for task in dying:
            task.cancel()
        await asyncio.wait(dying)

    async def request(self, replica: Replica, work: Coroutine[None, None, T]) -> T:
        """Gives what the replica answers. Raises ConnectionError if it is killed meanwhile."""
        task = asyncio.get_running_loop().create_task(work)
        self._requests[replica].add(task)
        await asyncio.wait([task])
        if task.cancelled():
            raise ConnectionError("the replica is gone")
        self._requests[replica].discard(task)
        return task.result()

    async def _live(self, born: asyncio.Future[Replica]) -> None:
        async with self._start() as replica:
            born.set_result(replica)
            await asyncio.Event().wait()
