"""The chat completions wire format: what we send, typed exactly; what comes back, typed as loosely as providers write.

Source: OpenAI's API reference, "Chat Completions", and what compatible servers make of it: unknown fields are ignored,
any field may be missing or null.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from app.core.errors import ModelError
from app.core.messages import FilePart, ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from app.core.tools import ToolSpec
from app.llm.base import ModelRequest


class SystemMessage(Struct, frozen=True, tag_field="role", tag="system"):
    """The instructions."""

    content: str


class UserMessage(Struct, frozen=True, tag_field="role", tag="user"):
    """What the user said."""

    content: str


class FunctionCall(Struct, frozen=True):
    """A function and its arguments, as JSON text."""

    name: str
    arguments: str


class WireCall(Struct, frozen=True, tag_field="type", tag="function"):
    """A call the model made earlier."""

    id: str
    function: FunctionCall


class AssistantMessage(Struct, frozen=True, tag_field="role", tag="assistant"):
    """What the model answered earlier."""

    content: str | None
    tool_calls: tuple[WireCall, ...] | UnsetType = UNSET


class ToolMessage(Struct, frozen=True, tag_field="role", tag="tool"):
    """What came of one call."""

    tool_call_id: str
    content: str


WireMessage = SystemMessage | UserMessage | AssistantMessage | ToolMessage


class Function(Struct, frozen=True):
    """A function the model may call."""

    name: str
    description: str
    parameters: dict[str, Any]


class WireTool(Struct, frozen=True, tag_field="type", tag="function"):
    """A tool; functions are the only kind we offer."""

    function: Function


class StreamOptions(Struct, frozen=True):
    """Asks for the usage, in one more chunk at the end."""

    include_usage: bool = True


class WireRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /chat/completions`."""

    model: str
    messages: tuple[WireMessage, ...]
    stream: Literal[True] = True
    stream_options: StreamOptions = StreamOptions()
    tools: tuple[WireTool, ...] | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET


class FunctionFragment(Struct, frozen=True):
    """A piece of a function call."""

    name: str | None = None
    arguments: str | None = None


class CallFragment(Struct, frozen=True):
    """A piece of a tool call. `index` says of which; some providers leave it out."""

    index: int | None = None
    id: str | None = None
    function: FunctionFragment | None = None


class WireDelta(Struct, frozen=True):
    """What a chunk adds. Reasoning goes by two names."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[CallFragment, ...] | None = None


class Choice(Struct, frozen=True):
    """The one answer we asked for."""

    delta: WireDelta | None = None
    finish_reason: str | None = None


class PromptDetails(Struct, frozen=True):
    """What is known of the input tokens."""

    cached_tokens: int | None = None


class WireUsage(Struct, frozen=True):
    """Tokens, in the provider's words."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None


class Chunk(Struct, frozen=True):
    """One event of the stream. `error` is an object by the book, and anything in practice."""

    choices: tuple[Choice, ...] | None = None
    usage: WireUsage | None = None
    error: Any = None


_encoder = msgspec.json.Encoder()
_arguments = msgspec.json.Decoder(dict[str, Any])


def encode_request(request: ModelRequest) -> bytes:
    """Gives the body that asks for this answer as a stream. Raises ModelError for what cannot be sent."""
    body = WireRequest(
        model=request.model,
        messages=tuple(_messages(request)),
        tools=tuple(map(_tool, request.tools)) or UNSET,
        max_tokens=UNSET if request.max_tokens is None else request.max_tokens,
    )
    return _encoder.encode(body)


def _messages(request: ModelRequest) -> Iterator[WireMessage]:
    if request.system:
        yield SystemMessage(request.system)
    for message in request.messages:
        match message:
            case Message(role="user", parts=(TextPart(text=text),)):  # nearly all messages are one text
                yield UserMessage(text)
            case Message(role="assistant", parts=(TextPart(text=text),)) if text:
                yield AssistantMessage(text)
            case _:
                yield from _any(message)


def _any(message: Message) -> Iterator[WireMessage]:
    _refuse_media(message)
    match message.role:
        case "user":
            yield UserMessage(message.text())
        case "assistant":
            yield from _assistant(message)
        case "tool":
            yield from _results(message)


def _refuse_media(message: Message) -> None:
    if any(isinstance(part, ImagePart | FilePart) for part in message.parts):
        raise ModelError("pictures and files in messages are not supported yet by the openai provider")


def _assistant(message: Message) -> Iterator[AssistantMessage]:
    text = message.text()
    calls = tuple(map(_call, message.calls()))
    if text or calls:
        yield AssistantMessage(text or None, calls or UNSET)


def _results(message: Message) -> Iterator[ToolMessage]:
    for part in message.parts:
        if isinstance(part, ToolResultPart):
            yield ToolMessage(part.call_id, part.text)


def _call(part: ToolCallPart) -> WireCall:
    return WireCall(part.call_id, FunctionCall(part.name, _legal(part.arguments)))


def _legal(arguments: str) -> str:
    """Gives the arguments, or `{}`: providers refuse a history with broken JSON in it."""
    try:
        _arguments.decode(arguments)
    except (msgspec.DecodeError, UnicodeError):
        return "{}"
    return arguments


def _tool(spec: ToolSpec) -> WireTool:
    return WireTool(Function(spec.name, spec.description, spec.parameters))
