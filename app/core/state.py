"""The agent's state: what the log adds up to. Never stored for itself, only as a checkpoint of the fold."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from app.core.ids import CallId, ItemId, RunId
from app.core.messages import BlobRef, Message, Part, ToolResultPart, Usage
from app.core.records import Effect, Todo

FOLD_VERSION = 1
"""Raised whenever the fold would give another state for the same log. Checkpoints of other versions are ignored."""


class OpenCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call the model asked for, until its batch is done.

    `wanted`: not started. `started`: under way by the claim in force. `in_doubt`: started by an earlier claim, with no
    result. `done`: it has its result.
    """

    item: ItemId
    call_id: CallId
    name: str
    arguments: str
    blob: BlobRef | None = None
    status: Literal["wanted", "started", "in_doubt", "done"] = "wanted"
    effect: Effect = Effect.PURE
    result: ToolResultPart | None = None


class QueuedInput(Struct, frozen=True, kw_only=True):
    """An input whose run has yet to start."""

    run_id: RunId
    parts: tuple[Part, ...]


class SteeredInput(Struct, frozen=True, kw_only=True):
    """An input that joins the active run before its next model call."""

    seq: int
    parts: tuple[Part, ...]


class ActiveRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The run that is going on."""

    run_id: RunId
    agent_digest: str
    started_at: datetime
    step: int = 0
    """Model calls and tool batches so far; names the next item."""
    attempt: int = 1
    breaks: int = 0
    """How often this run's model stream broke after its first delta."""
    cancelling: bool = False
    suspended: str | None = None
    calls: tuple[OpenCall, ...] = ()
    usage: Usage = Usage()


class AgentState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a replica must know to go on: a pure fold over the log up to `seq`."""

    seq: int = 0
    title: str = ""
    metadata: dict[str, str] = {}
    messages: tuple[Message, ...] = ()
    summary: str | None = None
    steered: tuple[SteeredInput, ...] = ()
    queued: tuple[QueuedInput, ...] = ()
    run: ActiveRun | None = None
    todos: tuple[Todo, ...] = ()
    plan_mode: bool = False
    rules: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    approvals: tuple[ItemId, ...] = ()
    usage: Usage = Usage()
    generation: int = 0

    def context(self) -> tuple[Message, ...]:
        """Gives the messages for the next model call, steered inputs last."""
        return self.messages + tuple(Message(role="user", parts=item.parts) for item in self.steered)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AgentState)


def encode_state(state: AgentState) -> bytes:
    """Gives the state as a checkpoint's body."""
    return _encoder.encode(state)


def decode_state(body: bytes) -> AgentState:
    """Undoes `encode_state`. Raises msgspec.DecodeError for anything else."""
    return _decoder.decode(body)
