"""The port of model providers: a request in our words, and the answer as a stream of small events."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from msgspec import Struct

from app.core.messages import Message, StopReason, Usage
from app.core.tools import ToolSpec


class ModelRequest(Struct, frozen=True, kw_only=True):
    """One model call. `model` is the provider's own name for it; text kept in blobs is already filled in."""

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int | None = None


class TextDelta(Struct, frozen=True):
    """More of the answer."""

    text: str


class ThinkingDelta(Struct, frozen=True):
    """More of the thinking."""

    text: str


class CallDelta(Struct, frozen=True):
    """More of the call at `index` (0, 1, … in the order of their first deltas); `name` comes with the first."""

    index: int
    name: str
    arguments: str


class Finished(Struct, frozen=True):
    """The last event of every whole answer."""

    stop: StopReason
    usage: Usage


ModelEvent = TextDelta | ThinkingDelta | CallDelta | Finished


class Model(Protocol):
    """One provider."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        """Yields the events of one network read together; the last event of the last batch is Finished.

        Raises ModelError, before the first event or between two; a stream that ends without Finished is an error too.
        Closing the generator ends the request.
        """
        ...
