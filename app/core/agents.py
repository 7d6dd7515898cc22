"""An agent as its files describe it: instructions, a model, tools and limits."""

from typing import Literal

from msgspec import Struct

from app.core.ids import AgentId


class Limits(Struct, frozen=True, kw_only=True):
    """What one run may use. A run that reaches one ends as `limited`."""

    steps: int = 100
    """Model calls and tool batches together."""
    seconds: float = 1800.0
    """Wall time since the run started."""
    tokens: int = 2_000_000
    """Input and output together."""
    attempts: int = 20
    """How often it may be taken over or handed on: a run that kills its server is not begun for ever."""
    context_messages: int = 200
    """Messages kept in the model's context between runs."""


class AgentSpec(Struct, frozen=True, kw_only=True):
    """One version of one agent; `digest` is of all its files."""

    id: AgentId
    digest: str
    instructions: str
    model: str | None = None
    """`provider:model`, or None for the server's default."""
    tools: tuple[str, ...] | None = None
    """Names of the tools it may use; None means all."""
    in_doubt: Literal["tell_model"] = "tell_model"
    """What becomes of an unsafe call whose outcome nobody knows."""
    max_tokens: int | None = None
    limits: Limits = Limits()
