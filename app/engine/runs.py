"""Runs from outside: looking at one, cancelling it, waiting for its end."""

import asyncio

from msgspec.structs import replace

from app.auth.base import Principal
from app.core.errors import Conflict, HeadMoved, RunNotFound
from app.core.ids import RunId
from app.core.keys import SessionKey
from app.core.records import AnyRecord, Entry, InputWithdrawn, RunCancelRequested, RunFinished, RunQueued
from app.engine.services import Services
from app.engine.views import RunView
from app.stores.base import Position, RunEntry
from app.stores.bus import Announced, Live, Nudge
from app.stores.head import Head

CANCEL_ATTEMPTS = 16
WAIT_SECONDS = 2.0
"""How long to wait for an announcement before the store is asked."""


class RunDesk:
    """Reads and cancels runs on behalf of their owner."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def find(self, who: Principal, run_id: RunId) -> RunEntry:
        """Gives the run's place. Raises RunNotFound, also for another user's run."""
        entry = await self._services.stores.runs.find(who.tenant, run_id)
        if entry is None or entry.key.user != who.user:
            raise RunNotFound(f"there is no run {run_id}")
        return entry

    async def view(self, who: Principal, run_id: RunId) -> RunView:
        """Gives the run as it stands."""
        return await self._view(await self.find(who, run_id))

    async def cancel(self, who: Principal, run_id: RunId) -> RunView:
        """The run is cancelled, or will be as soon as its runner looks; a finished run stays as it is.

        An input that joined another run cancels that run.
        """
        for _ in range(CANCEL_ATTEMPTS):
            entry = await self.find(who, run_id)
            if entry.joined is not None:
                return await self.cancel(who, entry.joined)
            if entry.last is not None or await self._try_cancel(entry):
                return await self._view(await self.find(who, run_id))
        raise Conflict(f"the session of {run_id} changes too fast to cancel it; try again")

    async def finished(self, who: Principal, run_id: RunId) -> RunView:
        """Gives the run once it has finished, however long that takes."""
        entry = await self.find(who, run_id)
        told = asyncio.Event()

        def hear(message: Live) -> None:
            if isinstance(message, Announced):
                told.set()

        stop = await self._services.stores.bus.subscribe(entry.key, hear)
        try:
            while entry.last is None and entry.joined is None:
                await _wait(told)
                told.clear()
                entry = await self.find(who, run_id)
        finally:
            stop()
        return await (self._view(entry) if entry.joined is None else self.finished(who, entry.joined))

    async def _try_cancel(self, entry: RunEntry) -> bool:
        """Says whether the cancel is in the log; False when the log moved meanwhile."""
        stores, key = self._services.stores, entry.key
        head = (await stores.heads.peek([key])).get(key)
        if head is None:
            raise RunNotFound(f"the session of {entry.run_id} was deleted")
        records = self._cancellation(head, entry.run_id)
        if not records:
            return head.active == entry.run_id
        try:
            written = await stores.sessions.append(key, Position(head.birth, head.seq), records)
        except HeadMoved:
            return False
        stores.bus.publish(key, Announced(head.birth, written[-1].seq, written))
        if head.active == entry.run_id:
            self._tell_owner(key, head, entry.run_id)
        return True

    def _tell_owner(self, key: SessionKey, head: Head, run_id: RunId) -> None:
        bus = self._services.stores.bus
        if head.owner is None:
            bus.wake()
        else:
            bus.publish(key, Nudge(run_id))

    def _cancellation(self, head: Head, run_id: RunId) -> list[AnyRecord]:
        now = self._services.clock.now()
        if run_id in head.queue:
            return [InputWithdrawn(at=now, run_id=run_id), RunFinished(at=now, run_id=run_id, status="cancelled")]
        wanted = head.active == run_id and not head.cancelling
        return [RunCancelRequested(at=now, run_id=run_id)] if wanted else []

    async def _view(self, entry: RunEntry) -> RunView:
        first = (await self._entry(entry, entry.first)).record
        last = None if entry.last is None else (await self._entry(entry, entry.last)).record
        view = RunView(
            run_id=entry.run_id,
            agent=entry.key.agent,
            session_id=entry.key.session,
            status=entry.stage,
            created_at=first.at,
            joined=entry.joined,
        )
        if isinstance(first, RunQueued):
            view = replace(view, metadata=first.metadata)
        if entry.stage == "active":
            view = replace(view, cancelling=await self._is_cancelling(entry))
        if not isinstance(last, RunFinished):
            return view
        return replace(view, finished_at=last.at, error=last.error, usage=last.usage)

    async def _is_cancelling(self, run: RunEntry) -> bool:
        head = (await self._services.stores.heads.peek([run.key])).get(run.key)
        return head is not None and head.active == run.run_id and head.cancelling

    async def _entry(self, run: RunEntry, seq: int) -> Entry:
        log = await self._services.stores.sessions.read(run.key, seq - 1, 1)
        if log.head.birth != run.birth or not log.entries:
            raise RunNotFound(f"the session of {run.run_id} was deleted")
        return log.entries[0]


async def _wait(told: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await told.wait()
    except TimeoutError:
        return
