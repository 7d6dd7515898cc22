"""Tools as the model and the engine see them: a name, a schema, an effect, and what comes of a call."""

from typing import Any

from msgspec import Struct

from app.core.records import Effect, StatePatched


class ToolSpec(Struct, frozen=True, kw_only=True):
    """What the model is told of a tool, and what the engine must know to run it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """A JSON schema of type object."""
    effect: Effect
    timeout: float = 60.0
    """Seconds."""


class ToolOutput(Struct, frozen=True, kw_only=True):
    """What a call came to. `patch` changes the agent's state (a todo list) in the same commit as the result."""

    text: str
    is_error: bool = False
    patch: StatePatched | None = None
