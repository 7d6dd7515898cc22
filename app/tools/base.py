"""The port of tools: one class per tool, its arguments a struct whose schema the model is shown."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from app.core.clock import Clock
from app.core.errors import ToolError
from app.core.keys import SessionKey
from app.core.records import Effect
from app.core.tools import ToolOutput, ToolSpec
from app.workspace.base import Workspace


class Ledger(Protocol):
    """What a keyed tool noted before its effect, under the call's key; read when the call is run again."""

    async def note(self, key: str, data: bytes) -> None:
        """The note is durable."""
        ...

    async def recall(self, key: str) -> bytes | None:
        """Gives the note, or None."""
        ...


class ToolContext(Struct, frozen=True, kw_only=True):
    """What a call may know and touch."""

    session: SessionKey
    key: str
    """The call's idempotency key: the same whenever and wherever it is run again."""
    again: bool
    """Whether an earlier attempt may have taken effect."""
    workspace: Workspace
    ledger: Ledger
    clock: Clock
    emit: Callable[[str], None]
    """Shows a piece of output while the call runs; not part of the result."""


class Arguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every tool's arguments: unknown ones are an error the model is told of."""


class Tool(Protocol):
    """One tool."""

    @property
    def spec(self) -> ToolSpec:
        """Gives what the model and the engine know of it."""
        ...

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        """Carries the call out. `arguments` is the model's JSON text. Raises ToolError that says what to do."""
        ...


A = TypeVar("A", bound=Arguments)


def parse(arguments: str, kind: type[A]) -> A:
    """Gives the arguments, typed. Raises ToolError that names what is wrong, for the model to correct."""
    try:
        return msgspec.json.decode(arguments or "{}", type=kind)
    except msgspec.ValidationError as error:
        raise ToolError(f"the arguments do not fit the tool's schema: {error}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ToolError(f"the arguments are not legal JSON: {error}") from error


def describe(name: str, description: str, kind: type[Arguments], effect: Effect, timeout: float = 60.0) -> ToolSpec:
    """Gives a tool's spec, its schema derived from the struct of its arguments."""
    return ToolSpec(name=name, description=description, parameters=_schema(kind), effect=effect, timeout=timeout)


def _schema(kind: type[Arguments]) -> dict[str, Any]:
    (reference,), definitions = msgspec.json.schema_components([kind])
    name = str(reference["$ref"]).rsplit("/", 1)[-1]
    schema = dict(definitions.pop(name))
    schema.pop("title", None)
    return schema | ({"$defs": definitions} if definitions else {})
