"""An engine in memory: no model, no store, but the same face, the same errors and real frames."""

from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

import msgspec

from app.auth.base import Principal
from app.core.errors import (
    AgentNotFound,
    BadCursor,
    Draining,
    IdempotencyMismatch,
    QueueFull,
    RunNotFound,
    SessionBusy,
    SessionExists,
    SessionNotFound,
)
from app.core.ids import AgentId, RunId, SessionId
from app.core.keys import SessionKey, derived_session_id, new_run_id
from app.core.records import Busy, Entry, InputSteered, RunCancelRequested, RunQueued, run_of
from app.engine.frames import PREAMBLE, Cursor, record_frame
from app.engine.sink import Sink, refuse
from app.engine.views import Accepted, Invocation, MessagePage, RunView, SessionPage, SessionView
from tests.api.fake_log import AT, FakeLog

QUEUE = 2


class CountingIds:
    """Tokens that count."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def token(self) -> str:
        return f"{next(self._numbers):020d}"


class FakeStream:
    """The records of a session or run, those to come included."""

    def __init__(self, engine: "FakeEngine", log: FakeLog, run_id: RunId | None, after: int) -> None:
        self.key, self.run_id = log.key, run_id
        self._engine, self._log, self._after = engine, log, after

    def frames(self, sink: Sink = refuse) -> AsyncGenerator[bytes, None]:
        return self._engine.watched(self._replay())

    async def _replay(self) -> AsyncGenerator[bytes, None]:
        yield PREAMBLE
        while True:
            for entry in self._log.entries[self._after :]:
                self._after = entry.seq
                if self._wants(entry):
                    yield record_frame(self._log.birth, entry).data
            if not self._engine.endless or (self.run_id and self._log.end_of(self.run_id)):
                return
            await self._log.change()

    def _wants(self, entry: Entry) -> bool:
        return self.run_id is None or run_of(entry.record) == self.run_id


class FakeEngine:
    """Sessions and runs in dictionaries. With `hold`, a run stays active until the test calls `finish`."""

    def __init__(self, *, hold: bool = False, endless: bool = True) -> None:
        self.hold, self.endless = hold, endless
        self.draining = False
        self.lost = False
        self.fault: Exception | None = None
        self.opened = self.closed = self.pages = 0
        self.invocations: list[tuple[Principal, Invocation]] = []
        self.logs: dict[SessionKey, FakeLog] = {}
        self._runs: dict[RunId, SessionKey] = {}
        self._keys: dict[tuple[str, str, str], tuple[Invocation, Accepted]] = {}
        self._ids = CountingIds()

    async def submit(self, who: Principal, invocation: Invocation) -> Accepted:
        self._admit(invocation.agent)
        known = self._keys.get((who.tenant, who.user, invocation.idempotency_key or ""))
        if known is not None:
            if known[0] != invocation:
                raise IdempotencyMismatch("this key was used with another body")
            return msgspec.structs.replace(known[1], outcome="attached")
        self.invocations.append((who, invocation))
        accepted = self._accept(self._log_for(who, invocation), invocation)
        if invocation.idempotency_key is not None:
            self._keys[who.tenant, who.user, invocation.idempotency_key] = invocation, accepted
        return accepted

    def _admit(self, agent: AgentId) -> None:
        if self.fault is not None:
            raise self.fault
        if self.draining:
            raise Draining("bye")
        if agent != "assistant":
            raise AgentNotFound(f"no agent {agent} is loaded")

    def _log_for(self, who: Principal, invocation: Invocation) -> FakeLog:
        token = invocation.idempotency_key or self._ids.token()
        session = invocation.session or derived_session_id(who.tenant, who.user, token)
        key = SessionKey(who.tenant, who.user, invocation.agent, session)
        return self.logs.setdefault(key, FakeLog(key))

    def _accept(self, log: FakeLog, invocation: Invocation) -> Accepted:
        after, run_id, busy = log.seq, new_run_id(log.key, self._ids), log.active
        if busy is not None and invocation.policy is Busy.REJECT:
            raise SessionBusy(busy)
        if busy is not None and invocation.policy is Busy.STEER:
            log.append(InputSteered(at=AT, run_id=busy, input_id=run_id, input=invocation.input))
            return Accepted(key=log.key, birth=log.birth, run_id=busy, after=after, outcome="joined")
        if len(log.queue) >= QUEUE:
            raise QueueFull(f"{QUEUE} runs wait already")
        self._runs[run_id] = log.key
        log.append(RunQueued(at=AT, run_id=run_id, input=invocation.input, policy=invocation.policy))
        if busy is not None:
            log.queue.append(run_id)
            return Accepted(key=log.key, birth=log.birth, run_id=run_id, after=after, outcome="queued")
        log.start(run_id)
        if not self.hold:
            self.finish(run_id)
        return Accepted(key=log.key, birth=log.birth, run_id=run_id, after=after, outcome="started")

    def finish(self, run_id: RunId, text: str = "an answer") -> None:
        self.logs[self._runs[run_id]].finish(run_id, text, "completed")

    def _find(self, who: Principal, run_id: RunId) -> FakeLog:
        key = self._runs.get(run_id)
        if key is None or key not in self.logs or (key.tenant, key.user) != (who.tenant, who.user):
            raise RunNotFound(f"no run {run_id}")
        return self.logs[key]

    def _get(self, who: Principal, agent: AgentId, session: SessionId) -> FakeLog:
        log = self.logs.get(SessionKey(who.tenant, who.user, agent, session))
        if log is None:
            raise SessionNotFound("no such session")
        return log

    async def run(self, who: Principal, run_id: RunId) -> RunView:
        return self._find(who, run_id).run(run_id)

    async def cancel(self, who: Principal, run_id: RunId) -> RunView:
        log = self._find(who, run_id)
        if log.active == run_id:
            log.append(RunCancelRequested(at=AT, run_id=run_id))
            log.finish(run_id, "half an", "cancelled")
        return log.run(run_id)

    async def finished(self, who: Principal, run_id: RunId) -> RunView:
        log = self._find(who, run_id)
        self.opened += 1
        try:
            while log.end_of(run_id) is None:
                await log.change()
        finally:
            self.closed += 1
        return log.run(run_id)

    async def create_session(
        self, who: Principal, agent: AgentId, session: SessionId | None, title: str, metadata: dict[str, Any]
    ) -> SessionView:
        self._admit(agent)
        key = SessionKey(who.tenant, who.user, agent, session or SessionId(f"ses_{self._ids.token()}"))
        if key in self.logs:
            raise SessionExists("that session exists")
        self.logs[key] = FakeLog(key, title)
        return self.logs[key].view()

    async def session(self, who: Principal, agent: AgentId, session: SessionId) -> SessionView:
        return self._get(who, agent, session).view()

    async def sessions(self, who: Principal, agent: AgentId | None, cursor: str | None, limit: int) -> SessionPage:
        mine = [log for key, log in self.logs.items() if (key.tenant, key.user) == (who.tenant, who.user)]
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 9):
            raise BadCursor("that is no cursor")
        start = int(cursor or 0)
        views = [log.view() for log in mine if agent in {None, log.key.agent}]
        following = str(start + limit) if start + limit < len(views) else None
        return SessionPage(sessions=tuple(views[start : start + limit]), next=following)

    async def delete_session(self, who: Principal, agent: AgentId, session: SessionId) -> None:
        del self.logs[self._get(who, agent, session).key]

    async def messages(self, who: Principal, agent: AgentId, session: SessionId, after: int, limit: int) -> MessagePage:
        self.pages += 1
        found = self._get(who, agent, session).messages(after)
        return MessagePage(messages=tuple(found[:limit]), next=found[limit - 1].seq if len(found) > limit else None)

    async def follow_accepted(self, accepted: Accepted) -> FakeStream:
        return FakeStream(self, self.logs[accepted.key], accepted.run_id, accepted.after)

    async def follow_run(self, who: Principal, run_id: RunId, cursor: str | None, until_suspended: bool) -> FakeStream:
        return FakeStream(self, self._find(who, run_id), run_id, Cursor.parse(cursor).seq)

    async def follow_session(
        self, who: Principal, agent: AgentId, session: SessionId, cursor: str | None
    ) -> FakeStream:
        return FakeStream(self, self._get(who, agent, session), None, Cursor.parse(cursor).seq)

    def ready(self) -> bool:
        return not self.draining

    def cut_off(self) -> bool:
        return self.lost

    async def watched(self, frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Counts generators that begin and end."""
        self.opened += 1
        try:
            async for frame in frames:
                yield frame
        finally:
            self.closed += 1
            await frames.aclose()
