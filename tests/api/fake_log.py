"""A session's log in memory, with the waiting that streams need."""

import asyncio
from datetime import UTC, datetime

from app.core.encoding import number
from app.core.ids import Birth, RunId, item_id
from app.core.keys import SessionKey
from app.core.messages import Message, TextPart
from app.core.records import (
    AnyRecord,
    Entry,
    InputSteered,
    MessageAppended,
    RunFinished,
    RunQueued,
    RunStarted,
    RunStatus,
    SessionCreated,
    run_of,
)
from app.engine.views import MessageView, RunView, SessionView

AT = datetime(2026, 11, 21, tzinfo=UTC)


class FakeLog:
    """Records in order, the active run, and the queue."""

    def __init__(self, key: SessionKey, title: str = "") -> None:
        self.key = key
        self.birth = Birth("b1rth")
        self.title = title
        self.entries: list[Entry] = []
        self.active: RunId | None = None
        self.queue: list[RunId] = []
        self.deleted = False
        self._changed = asyncio.Event()
        self.append(SessionCreated(at=AT, title=title))

    @property
    def seq(self) -> int:
        return len(self.entries)

    def append(self, *records: AnyRecord) -> int:
        self.entries.extend(number(records, self.seq))
        self._changed.set()
        self._changed = asyncio.Event()
        return self.seq

    async def change(self) -> None:
        await self._changed.wait()

    def start(self, run_id: RunId) -> None:
        self.active = run_id
        self.append(RunStarted(at=AT, run_id=run_id, agent_digest="d", epoch=1))

    def finish(self, run_id: RunId, text: str, status: RunStatus) -> None:
        message = Message(role="assistant", parts=(TextPart(text=text),), incomplete=status == "cancelled")
        self.append(
            MessageAppended(at=AT, run_id=run_id, item=item_id(run_id, 0, 0), message=message, seen=self.seq),
            RunFinished(at=AT, run_id=run_id, status=status),
        )
        self.active = None
        if self.queue:
            self.start(self.queue.pop(0))

    def end_of(self, run_id: RunId) -> RunFinished | None:
        ends = [e.record for e in self.entries if isinstance(e.record, RunFinished) and e.record.run_id == run_id]
        return ends[0] if ends else None

    def run(self, run_id: RunId) -> RunView:
        end = self.end_of(run_id)
        status = end.status if end else "active" if self.active == run_id else "queued"
        return RunView(
            run_id=run_id,
            agent=self.key.agent,
            session_id=self.key.session,
            status=status,
            created_at=AT,
            finished_at=AT if end else None,
        )

    def view(self) -> SessionView:
        return SessionView(
            agent=self.key.agent,
            session_id=self.key.session,
            title=self.title,
            status="owned" if self.active else "idle",
            created_at=AT,
            updated_at=AT,
            seq=self.seq,
            run_id=self.active,
            queued=tuple(self.queue),
        )

    def messages(self, after: int) -> list[MessageView]:
        found = ((entry, _message(entry.record)) for entry in self.entries[after:])
        return [
            MessageView(seq=entry.seq, at=AT, run_id=run_of(entry.record) or RunId(""), message=message)
            for entry, message in found
            if message is not None
        ]


def _message(record: AnyRecord) -> Message | None:
    if isinstance(record, MessageAppended):
        return record.message
    if isinstance(record, RunQueued | InputSteered):
        return Message(role="user", parts=record.input)
    return None
