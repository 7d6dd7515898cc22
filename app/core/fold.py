"""The fold: how a log adds up to a state. Pure, total, and the same on every replica.

`fold(fold(s, a), b) == fold(s, a + b)`: so a checkpoint and the tail after it give what the whole log gives. It never
refuses a record: what does not fit (a result for a call nobody made) changes nothing.
"""

from collections.abc import Iterable
from functools import singledispatch

from msgspec.structs import replace

from app.core.ids import ItemId
from app.core.messages import Message, ToolCallPart, ToolResultPart
from app.core.records import (
    AnyRecord,
    ApprovalRequested,
    ApprovalResolved,
    ContextCompacted,
    Entry,
    InputSteered,
    InputWithdrawn,
    MessageAppended,
    Record,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStarted,
    RunSuspended,
    SessionCreated,
    StatePatched,
    ToolFinished,
    ToolStarted,
    WorkspaceCommitted,
    WorkspaceRolledBack,
)
from app.core.state import ActiveRun, AgentState, OpenCall, QueuedInput, SteeredInput

NOT_RUN = "This call was not run: the run ended before it."
UNKNOWN = "The outcome of this call is unknown: the run ended while it was under way."


def fold(state: AgentState, entries: Iterable[Entry]) -> AgentState:
    """Gives the state after those entries. Entries at or before `state.seq` are skipped."""
    draft = _Draft(state)
    for entry in entries:
        if entry.seq > draft.seq:
            draft.seq = entry.seq
            _apply(entry.record, draft)
    return draft.freeze()


def peek(state: AgentState, records: Iterable[AnyRecord]) -> AgentState:
    """Gives the state as it would be if those records came next."""
    return fold(state, (Entry(state.seq + i, record, b"") for i, record in enumerate(records, 1)))


class _Draft:
    """A state under construction: the messages are one list, so that folding n records costs n, not n squared."""

    def __init__(self, state: AgentState) -> None:
        self.state = state
        self.messages = list(state.messages)
        self.seq = state.seq

    def freeze(self) -> AgentState:
        return replace(self.state, seq=self.seq, messages=tuple(self.messages))

    def put(self, **fields: object) -> None:
        self.state = replace(self.state, **fields)

    def put_run(self, **fields: object) -> None:
        if self.state.run is not None:
            self.put(run=replace(self.state.run, **fields))

    def owns(self, run_id: str) -> ActiveRun | None:
        run = self.state.run
        return run if run is not None and run.run_id == run_id else None

    def join_steered(self, seen: int) -> None:
        """Moves the inputs up to `seen` into the conversation."""
        if not self.state.steered:
            return
        joined = [item for item in self.state.steered if item.seq <= seen]
        self.messages.extend(Message(role="user", parts=item.parts) for item in joined)
        self.put(steered=tuple(item for item in self.state.steered if item.seq > seen))

    def change_call(self, item: ItemId, **fields: object) -> None:
        run = self.state.run
        if run is not None:
            self.put_run(calls=tuple(replace(c, **fields) if c.item == item else c for c in run.calls))

    def close_batch(self) -> None:
        """Moves the results into the conversation, once every call has one."""
        run = self.state.run
        results = [call.result for call in run.calls if call.result is not None] if run is not None else []
        if run is not None and run.calls and len(results) == len(run.calls):
            self.messages.append(Message(role="tool", parts=tuple(results)))
            self.put_run(calls=(), step=run.step + 1)

    def without_queued(self, run_id: str) -> tuple[QueuedInput, ...]:
        return tuple(item for item in self.state.queued if item.run_id != run_id)


@singledispatch
def _apply(record: Record, draft: _Draft) -> None:
    """Changes nothing for a record that is only history."""


@_apply.register
def _(record: SessionCreated, draft: _Draft) -> None:
    draft.put(title=record.title, metadata=record.metadata)


@_apply.register
def _(record: RunQueued, draft: _Draft) -> None:
    queued = QueuedInput(run_id=record.run_id, parts=record.input)
    draft.put(queued=(*draft.state.queued, queued))


@_apply.register
def _(record: RunStarted, draft: _Draft) -> None:
    for queued in draft.state.queued:
        if queued.run_id == record.run_id:
            draft.messages.append(Message(role="user", parts=queued.parts))
    run = ActiveRun(run_id=record.run_id, agent_digest=record.agent_digest, started_at=record.at)
    draft.put(run=run, queued=draft.without_queued(record.run_id))


@_apply.register
def _(record: MessageAppended, draft: _Draft) -> None:
    run = draft.owns(record.run_id)
    if run is None:
        return
    draft.join_steered(record.seen)
    message = _without_calls(record.message) if record.message.incomplete else record.message
    if message.parts or not message.incomplete:
        draft.messages.append(message)
    calls = tuple(_open(call) for call in message.calls())
    draft.put_run(calls=calls, step=run.step + 1, usage=run.usage + record.usage)


@_apply.register
def _(record: ToolStarted, draft: _Draft) -> None:
    if draft.owns(record.run_id):
        draft.change_call(record.item, status="started", effect=record.effect)


@_apply.register
def _(record: ToolFinished, draft: _Draft) -> None:
    if draft.owns(record.run_id):
        draft.change_call(record.item, status="done", result=record.result)
        draft.close_batch()


@_apply.register
def _(record: InputSteered, draft: _Draft) -> None:
    if draft.owns(record.run_id):
        steered = SteeredInput(seq=draft.seq, parts=record.input)
        draft.put(steered=(*draft.state.steered, steered))


@_apply.register
def _(record: InputWithdrawn, draft: _Draft) -> None:
    draft.put(queued=draft.without_queued(record.run_id))


@_apply.register
def _(record: RunCancelRequested, draft: _Draft) -> None:
    if draft.owns(record.run_id):
        draft.put_run(cancelling=True)


@_apply.register
def _(record: ApprovalRequested, draft: _Draft) -> None:
    draft.put(approvals=(*draft.state.approvals, record.item))


@_apply.register
def _(record: ApprovalResolved, draft: _Draft) -> None:
    draft.put(approvals=tuple(item for item in draft.state.approvals if item != record.item))


@_apply.register
def _(record: RunSuspended, draft: _Draft) -> None:
    if draft.owns(record.run_id):
        draft.put_run(suspended=record.reason)


@_apply.register
def _(record: RunResumed, draft: _Draft) -> None:
    run = draft.owns(record.run_id)
    if run is None:
        return
    broke = record.reason == "model_stream"
    calls = run.calls if broke else tuple(_doubt(call) for call in run.calls)
    draft.put_run(attempt=record.attempt, suspended=None, calls=calls, breaks=run.breaks + broke)


@_apply.register
def _(record: RunFinished, draft: _Draft) -> None:
    run = draft.owns(record.run_id)
    if run is None:
        return
    for call in run.calls:
        draft.change_call(call.item, result=call.result or _unanswered(call))
    draft.close_batch()
    draft.join_steered(draft.seq)
    draft.put(run=None, approvals=(), usage=draft.state.usage + record.usage)


@_apply.register
def _(record: ContextCompacted, draft: _Draft) -> None:
    open_batch = draft.state.run is not None and draft.state.run.calls
    keep = max(record.keep, 1 if open_batch else 0)
    del draft.messages[: max(0, len(draft.messages) - keep)]
    while draft.messages and draft.messages[0].role == "tool":  # its calls are gone
        del draft.messages[0]
    draft.put(summary=record.summary if record.summary is not None else draft.state.summary)


@_apply.register
def _(record: StatePatched, draft: _Draft) -> None:
    fields = ("title", "metadata", "todos", "plan_mode", "rules", "tools")
    patch = {name: getattr(record, name) for name in fields}
    draft.put(**{name: value for name, value in patch.items() if value is not None})


@_apply.register
def _(record: WorkspaceCommitted, draft: _Draft) -> None:
    draft.put(generation=record.generation)


@_apply.register
def _(record: WorkspaceRolledBack, draft: _Draft) -> None:
    draft.put(generation=record.generation)


def _without_calls(message: Message) -> Message:
    """Gives what was shown of a message that was cut off: nobody will run its calls, so nobody may see them."""
    return replace(message, parts=tuple(part for part in message.parts if not isinstance(part, ToolCallPart)))


def _open(call: ToolCallPart) -> OpenCall:
    return OpenCall(item=call.item, call_id=call.call_id, name=call.name, arguments=call.arguments, blob=call.blob)


def _doubt(call: OpenCall) -> OpenCall:
    return replace(call, status="in_doubt") if call.status == "started" else call


def _unanswered(call: OpenCall) -> ToolResultPart:
    text = NOT_RUN if call.status == "wanted" else UNKNOWN
    return ToolResultPart(item=call.item, call_id=call.call_id, name=call.name, text=text, is_error=True)
