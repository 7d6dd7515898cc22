"""A whole engine in a test: any stores, any model, tools of the test's own. Several may share one store."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from app.auth.base import Principal
from app.core.clock import SystemClock
from app.core.ids import ANONYMOUS, AgentId, Incarnation, RandomIds, SessionId, TenantId
from app.core.keys import SessionKey
from app.core.messages import TextPart
from app.core.records import Busy
from app.engine.catalog import AgentCatalog
from app.engine.engine import Engine
from app.engine.services import Services
from app.engine.views import Accepted, Invocation
from app.llm.base import Model
from app.stores.bundle import Stores
from app.tools.base import Tool
from app.tools.toolbox import Toolbox, builtin_tools
from app.workspace.local import LocalWorkspaces

AGENT = AgentId("assistant")
WHO = Principal(TenantId("acme"), ANONYMOUS)


class Replica:
    """One engine, and the shortest way to use it."""

    def __init__(self, engine: Engine, services: Services) -> None:
        self.engine = engine
        self.services = services

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
    )
    engine = Engine(services)
    async with engine.running():
        yield Replica(engine, services)


def key_of(session: str, who: Principal = WHO) -> SessionKey:
    """Names a session of the test's agent."""
    return SessionKey(who.tenant, who.user, AGENT, SessionId(session))
