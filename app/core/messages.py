"""Messages: a role and parts. What people and models say, and what tools answer."""

from typing import Any, Literal

from msgspec import Struct

from app.core.ids import CallId, ItemId


class BlobRef(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Points at bytes kept outside the log, by content."""

    sha256: str
    size: int
    """In bytes."""
    media_type: str = "text/plain; charset=utf-8"


class TextPart(Struct, frozen=True, kw_only=True, tag="text", omit_defaults=True):
    """Text. With `blob`, `text` is only the beginning and the blob holds all of it."""

    text: str
    blob: BlobRef | None = None


class ThinkingPart(Struct, frozen=True, kw_only=True, tag="thinking", omit_defaults=True):
    """What a model thought; `signature` is the provider's proof of it."""

    text: str
    signature: str | None = None
    blob: BlobRef | None = None


class ImagePart(Struct, frozen=True, kw_only=True, tag="image"):
    """A picture."""

    blob: BlobRef


class FilePart(Struct, frozen=True, kw_only=True, tag="file"):
    """A file."""

    blob: BlobRef
    name: str


class ToolCallPart(Struct, frozen=True, kw_only=True, tag="tool_call", omit_defaults=True):
    """A call the model wants. `arguments` is the JSON text as the model wrote it, legal or not."""

    item: ItemId
    call_id: CallId
    name: str
    arguments: str
    blob: BlobRef | None = None
    """All of the arguments, when they are too long for the record; `arguments` is then `{}`."""


class ToolResultPart(Struct, frozen=True, kw_only=True, tag="tool_result", omit_defaults=True):
    """What the model is told of a call. With `blob`, `text` is the bounded view and the blob holds all of it."""

    item: ItemId
    call_id: CallId
    name: str
    text: str
    is_error: bool = False
    blob: BlobRef | None = None


class CitationPart(Struct, frozen=True, kw_only=True, tag="citation"):
    """Where a statement comes from."""

    text: str
    source: str


class OpaquePart(Struct, frozen=True, kw_only=True, tag="opaque"):
    """Something only its provider understands; given back to it unchanged."""

    provider: str
    data: dict[str, Any]


Part = TextPart | ThinkingPart | ImagePart | FilePart | ToolCallPart | ToolResultPart | CitationPart | OpaquePart

Role = Literal["user", "assistant", "tool"]


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. `incomplete`: it was cut off, and what is here is what was shown."""

    role: Role
    parts: tuple[Part, ...]
    incomplete: bool = False

    def text(self) -> str:
        """Joins the text parts."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    def calls(self) -> tuple[ToolCallPart, ...]:
        """Gives the calls, in the model's order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens and calls; adds up."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            model_calls=self.model_calls + other.model_calls,
            tool_calls=self.tool_calls + other.tool_calls,
        )

    def tokens(self) -> int:
        """Gives input and output together."""
        return self.input_tokens + self.output_tokens


class StopReason(Struct, frozen=True):
    """Why a model stopped, in our words."""

    kind: Literal["end", "tool_calls", "length", "refusal", "other"]
    raw: str = ""
