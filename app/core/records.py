"""The records: everything durable about a session, as small typed facts in one numbered log.

A record says what happened, never what to do. `run_id` names the run it belongs to, where there is one. Fields may be
added with a default; anything else is a new type, written only once every replica can read it (`min_reader`).
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from msgspec import Struct

from app.core.ids import CallId, ItemId, RunId
from app.core.messages import Message, Part, ToolResultPart, Usage

MAX_RECORD_BYTES = 64 * 1024
"""A record's limit, encoded; what is larger goes to a blob first."""

READER = 1
"""What this program can read. A head that asks for more is left to newer replicas."""


class Effect(StrEnum):
    """What running a call twice would do: nothing (`pure`), nothing under the same key (`keyed`), or harm."""

    PURE = "pure"
    KEYED = "keyed"
    UNSAFE = "unsafe"


class Busy(StrEnum):
    """What an input does when a run is active: wait, be refused, cancel that run, or join it."""

    ENQUEUE = "enqueue"
    REJECT = "reject"
    INTERRUPT = "interrupt"
    STEER = "steer"


class Todo(Struct, frozen=True, kw_only=True):
    """One line of the agent's plan."""

    text: str
    status: Literal["pending", "in_progress", "done"] = "pending"


class Fault(Struct, frozen=True, kw_only=True):
    """Why a run failed: a stable code and a sentence."""

    code: str
    message: str


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """The base of all records. `at` is the writer's clock, in UTC; `reader` the least `READER` that understands it."""

    reader: ClassVar[int] = 1
    at: datetime


class SessionCreated(Record, frozen=True, kw_only=True, tag="session.created"):
    """The log begins."""

    title: str = ""
    metadata: dict[str, str] = {}


class RunQueued(Record, frozen=True, kw_only=True, tag="run.queued"):
    """An input was accepted; it belongs to a run that has yet to start."""

    run_id: RunId
    input: tuple[Part, ...]
    policy: Busy = Busy.ENQUEUE
    metadata: dict[str, str] = {}


class RunStarted(Record, frozen=True, kw_only=True, tag="run.started"):
    """A replica claimed the session for this run; the queued input is now the conversation's last message."""

    run_id: RunId
    agent_digest: str
    epoch: int


class MessageAppended(Record, frozen=True, kw_only=True, tag="message.appended"):
    """A model answered. `seen`: the last seq that was in the context the model was shown."""

    run_id: RunId
    item: ItemId
    message: Message
    seen: int
    model: str = ""
    stop: str = "end"
    usage: Usage = Usage()


class ToolStarted(Record, frozen=True, kw_only=True, tag="tool.started"):
    """A call with an effect is about to run, under that key."""

    run_id: RunId
    item: ItemId
    call_id: CallId
    name: str
    effect: Effect
    key: str


Outcome = Literal["ok", "error", "timeout", "unknown", "cancelled"]


class ToolFinished(Record, frozen=True, kw_only=True, tag="tool.finished"):
    """A call has its result; `unknown` means that nobody can say whether it took effect."""

    run_id: RunId
    item: ItemId
    result: ToolResultPart
    outcome: Outcome


class InputSteered(Record, frozen=True, kw_only=True, tag="input.steered"):
    """An input joined the active run `run_id`; `input_id` is the run id its sender had asked for."""

    run_id: RunId
    input_id: RunId
    input: tuple[Part, ...]


class InputWithdrawn(Record, frozen=True, kw_only=True, tag="input.withdrawn"):
    """A queued input was taken back before any model saw it."""

    run_id: RunId


class RunCancelRequested(Record, frozen=True, kw_only=True, tag="run.cancel_requested"):
    """Somebody wants the active run to stop."""

    run_id: RunId
    reason: str = ""


class ApprovalRequested(Record, frozen=True, kw_only=True, tag="approval.requested"):
    """A call waits for a person."""

    run_id: RunId
    item: ItemId
    call_hash: str
    expires_at: datetime


class ApprovalResolved(Record, frozen=True, kw_only=True, tag="approval.resolved"):
    """A person, a deadline or a newer input decided."""

    run_id: RunId
    item: ItemId
    decision: Literal["approved", "denied", "expired", "superseded"]
    reason: str = ""


class RunSuspended(Record, frozen=True, kw_only=True, tag="run.suspended"):
    """The run waits for something outside; it holds no slot, no claim, no memory."""

    run_id: RunId
    reason: str


class RunResumed(Record, frozen=True, kw_only=True, tag="run.resumed"):
    """The run goes on under another claim, or after a broken model stream: what was shown of open items is void."""

    run_id: RunId
    attempt: int
    reason: Literal["takeover", "handover", "model_stream", "woken"]
    epoch: int


RunStatus = Literal["completed", "cancelled", "failed", "limited"]


class RunFinished(Record, frozen=True, kw_only=True, tag="run.finished"):
    """The run is over. `limited`: it hit a limit, which `error` names."""

    run_id: RunId
    status: RunStatus
    error: Fault | None = None
    usage: Usage = Usage()


class ContextCompacted(Record, frozen=True, kw_only=True, tag="context.compacted"):
    """The model sees only the last `keep` messages from now on, after `summary`."""

    run_id: RunId
    keep: int
    summary: str | None = None


class StatePatched(Record, frozen=True, kw_only=True, tag="state.patched"):
    """A field of the state was set; None leaves it as it is."""

    run_id: RunId | None = None
    title: str | None = None
    metadata: dict[str, str] | None = None
    todos: tuple[Todo, ...] | None = None
    plan_mode: bool | None = None
    rules: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None


class WorkspaceCommitted(Record, frozen=True, kw_only=True, tag="workspace.committed"):
    """The workspace has a new generation."""

    generation: int
    manifest: str


class WorkspaceRolledBack(Record, frozen=True, kw_only=True, tag="workspace.rolled_back"):
    """The workspace went back to a generation; `lost` names what is gone."""

    generation: int
    lost: tuple[str, ...] = ()


class SessionForked(Record, frozen=True, kw_only=True, tag="session.forked"):
    """The log continues another one, from that seq on."""

    origin: str
    origin_seq: int


class SessionDeleted(Record, frozen=True, kw_only=True, tag="session.deleted"):
    """The log is gone but for this."""


class MessageRedacted(Record, frozen=True, kw_only=True, tag="message.redacted"):
    """The message at `target` was overwritten in place."""

    target: int


AnyRecord = (
    SessionCreated
    | RunQueued
    | RunStarted
    | MessageAppended
    | ToolStarted
    | ToolFinished
    | InputSteered
    | InputWithdrawn
    | RunCancelRequested
    | ApprovalRequested
    | ApprovalResolved
    | RunSuspended
    | RunResumed
    | RunFinished
    | ContextCompacted
    | StatePatched
    | WorkspaceCommitted
    | WorkspaceRolledBack
    | SessionForked
    | SessionDeleted
    | MessageRedacted
)


class Entry(Struct, frozen=True):
    """A record at its place in the log. Seqs start at 1 and have no gaps."""

    seq: int
    record: AnyRecord
    body: bytes
    """The record as stored: one JSON object."""


def run_of(record: AnyRecord) -> RunId | None:
    """Gives the run a record belongs to."""
    return getattr(record, "run_id", None)
