"""The engine: everything a replica does for its clients, whatever the protocol they speak."""

import itertools
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from app.auth.base import Principal
from app.core.errors import BatonError
from app.core.ids import AgentId, RunId, SessionId
from app.core.keys import SessionKey
from app.core.tasks import Tasks
from app.engine.admission import Admission
from app.engine.broadcast import Broadcast
from app.engine.figures import engine_samples
from app.engine.frames import Cursor
from app.engine.membership import membership
from app.engine.runs import RunDesk
from app.engine.services import Services
from app.engine.sessions import SessionDesk
from app.engine.stream import Stream
from app.engine.views import Accepted, Invocation, MessagePage, RunView, SessionPage, SessionView
from app.engine.worker import Worker
from app.observability.metrics import Sample

log = logging.getLogger(__name__)

TICK_SECONDS = 2.0
COLLECT_TICKS = 150
"""Every five minutes, blobs that no log has named for a day are removed, at most `COLLECT_LIMIT` of them."""
COLLECT_LIMIT = 256


class Engine:
    """One replica's engine."""

    def __init__(self, services: Services) -> None:
        stores = services.stores
        self._services = services
        self.membership = membership(services)
        self._worker = Worker(services, lambda: self.membership.lease)
        self._broadcast = Broadcast(stores.sessions, stores.heads, stores.bus, services.clock)
        self._admission = Admission(services, self._worker, self._broadcast)
        self._runs = RunDesk(services)
        self._sessions = SessionDesk(services)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Inputs are answered while the body runs. What still runs afterwards is cut off, as by a crash."""
        services = self._services
        stores = services.stores
        await services.catalog.publish(stores.keyvalue)
        async with (
            self.membership.joined(self._worker.act_under),
            self._broadcast.broadcasting(),
            self._worker.working(),
            Tasks() as tasks,
        ):
            stores.bus.wake()
            tasks.start(self._tick_forever())
            yield

    async def drain(self, grace: float) -> None:
        """No run is left here, every stream has ended, and the others know: clients reconnect elsewhere."""
        await self._worker.drain(grace)
        self._broadcast.close()
        await self.membership.leave(is_settled=self._worker.is_settled)

    def ready(self) -> bool:
        """Says whether inputs are accepted."""
        return not self._worker.draining

    def cut_off(self) -> bool:
        """Says whether the store has not heard from this replica for a lease; until it does, nothing runs here."""
        return not self.membership.lease.is_valid

    def samples(self) -> Iterable[Sample]:
        return engine_samples(self._services, self._worker, self._broadcast, self.membership)

    async def submit(self, who: Principal, invocation: Invocation) -> Accepted:
        """The input is in the log. Raises AgentNotFound, SessionBusy, QueueFull, IdempotencyMismatch, Draining."""
        return await self._admission.submit(who, invocation)

    async def run(self, who: Principal, run_id: RunId) -> RunView:
        """Gives the run. Raises RunNotFound."""
        return await self._runs.view(who, run_id)

    async def cancel(self, who: Principal, run_id: RunId) -> RunView:
        """The run is cancelled or will be. Raises RunNotFound."""
        return await self._runs.cancel(who, run_id)

    async def finished(self, who: Principal, run_id: RunId) -> RunView:
        """Gives the run once it has finished. Raises RunNotFound."""
        return await self._runs.finished(who, run_id)

    async def create_session(
        self, who: Principal, agent: AgentId, session: SessionId | None, title: str, metadata: dict[str, str]
    ) -> SessionView:
        """The session exists. Raises AgentNotFound and SessionExists."""
        return await self._sessions.create(who, agent, session, title, metadata)

    async def session(self, who: Principal, agent: AgentId, session: SessionId) -> SessionView:
        """Gives the session. Raises SessionNotFound."""
        return await self._sessions.view(who, agent, session)

    async def sessions(self, who: Principal, agent: AgentId | None, cursor: str | None, limit: int) -> SessionPage:
        """Gives the caller's sessions, newest first. Raises BadCursor."""
        return await self._sessions.page(who, agent, cursor, limit)

    async def delete_session(self, who: Principal, agent: AgentId, session: SessionId) -> None:
        """Nothing of the session is left. Raises SessionNotFound."""
        await self._sessions.delete(who, agent, session)

    async def messages(self, who: Principal, agent: AgentId, session: SessionId, after: int, limit: int) -> MessagePage:
        """Gives the session's messages. Raises SessionNotFound."""
        return await self._sessions.messages(who, agent, session, after, limit)

    async def follow_run(
        self, who: Principal, run_id: RunId, cursor: str | None, until_suspended: bool = False
    ) -> Stream:
        """Gives the run's stream after a cursor. Raises RunNotFound and BadCursor."""
        seen = Cursor.parse(cursor)
        entry = await self._runs.find(who, run_id)
        run = entry if entry.joined is None else await self._runs.find(who, entry.joined)
        return Stream(
            self._broadcast,
            entry.key,
            seen,
            run_id=run.run_id,
            first=entry.first - 1,
            final=run.last,
            until_suspended=until_suspended,
        )

    async def follow_session(self, who: Principal, agent: AgentId, session: SessionId, cursor: str | None) -> Stream:
        """Gives the session's stream after a cursor; it never ends by itself. Raises SessionNotFound and BadCursor."""
        seen = Cursor.parse(cursor)
        await self._sessions.view(who, agent, session)
        return Stream(self._broadcast, SessionKey(who.tenant, who.user, agent, session), seen)

    async def follow_accepted(self, accepted: Accepted) -> Stream:
        """Gives the stream of an accepted input, from its first record."""
        cursor = Cursor(accepted.after, accepted.birth)
        home = accepted.outcome == "started"
        return Stream(self._broadcast, accepted.key, cursor, run_id=accepted.run_id, first=accepted.after, home=home)

    async def _tick_forever(self) -> None:
        """Notices what nobody told us of: cancels of runs that run here, agents whose files changed, unused blobs."""
        services = self._services
        for tick in itertools.count(1):
            await services.clock.sleep(TICK_SECONDS)
            try:
                await self._worker.check_owned()
                await services.catalog.reload()
                if tick % COLLECT_TICKS == 0:
                    await services.stores.blobs.collect(COLLECT_LIMIT)
            except BatonError as error:
                log.warning("a look around failed: %s", error)
            except Exception:
                log.exception("a look around failed")
