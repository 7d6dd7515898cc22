"""What the engine takes and tells: requests in and views out, without HTTP."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from app.core.ids import AgentId, Birth, RunId, SessionId
from app.core.keys import SessionKey
from app.core.messages import Message, Part, Usage
from app.core.records import Busy, Fault
from app.stores.base import RunStage
from app.stores.head import Status


class Invocation(Struct, frozen=True, kw_only=True):
    """An input for an agent. Without a session, one is derived from the idempotency key, or random."""

    agent: AgentId
    input: tuple[Part, ...]
    session: SessionId | None = None
    policy: Busy = Busy.ENQUEUE
    metadata: dict[str, str] = {}
    idempotency_key: str | None = None


class Accepted(Struct, frozen=True, kw_only=True):
    """An input that is in the log. `run_id` will answer it; its records follow seq `after`."""

    key: SessionKey
    birth: Birth
    run_id: RunId
    after: int
    outcome: Literal["started", "queued", "joined", "attached"]


class RunView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run as a client sees it."""

    run_id: RunId
    agent: AgentId
    session_id: SessionId
    status: RunStage
    created_at: datetime
    finished_at: datetime | None = None
    metadata: dict[str, str] = {}
    cancelling: bool = False
    """Whether an active run has been told to stop."""
    joined: RunId | None = None
    """The run that took this input, if it was steered into one."""
    error: Fault | None = None
    usage: Usage = Usage()


class SessionView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session as a client sees it. `run_id` is the active run's."""

    agent: AgentId
    session_id: SessionId
    title: str
    status: Status
    created_at: datetime
    updated_at: datetime
    seq: int
    metadata: dict[str, str] = {}
    run_id: RunId | None = None
    queued: tuple[RunId, ...] = ()


class SessionPage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sessions, newest first; `next` continues."""

    sessions: tuple[SessionView, ...]
    next: str | None = None


class MessageView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message with its place in the log."""

    seq: int
    at: datetime
    run_id: RunId
    message: Message


class MessagePage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Messages in order; `next` is the `after` that continues."""

    messages: tuple[MessageView, ...]
    next: int | None = None
