"""Requests and answers in few words, and a clock that does not wait."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

from app.core.ids import CallId, ItemId
from app.core.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart
from app.core.records import Effect
from app.core.tools import ToolSpec
from app.llm.base import CallDelta, Finished, Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta


class InstantClock:
    """Sleeping takes no time and is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def user(text: str) -> Message:
    return Message(role="user", parts=(TextPart(text=text),))


def assistant(text: str, *calls: ToolCallPart) -> Message:
    said: tuple[Part, ...] = (TextPart(text=text),) if text else ()
    return Message(role="assistant", parts=said + calls)


def call(call_id: str, name: str, arguments: str) -> ToolCallPart:
    return ToolCallPart(item=ItemId(f"i-{call_id}"), call_id=CallId(call_id), name=name, arguments=arguments)


def result(call_id: str, name: str, text: str, *, is_error: bool = False) -> ToolResultPart:
    return ToolResultPart(item=ItemId(f"i-{call_id}"), call_id=CallId(call_id), name=name, text=text, is_error=is_error)


def results(*parts: ToolResultPart) -> Message:
    return Message(role="tool", parts=parts)


def tool(name: str) -> ToolSpec:
    parameters = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    return ToolSpec(name=name, description=f"Does {name}.", parameters=parameters, effect=Effect.PURE)


def ask(
    *messages: Message, system: str = "Be brief.", tools: Sequence[str] = (), max_tokens: int | None = None
) -> ModelRequest:
    return ModelRequest(
        model="m",
        system=system,
        messages=messages or (user("hello"),),
        tools=tuple(map(tool, tools)),
        max_tokens=max_tokens,
    )


async def batches(model: Model, request: ModelRequest) -> AsyncIterator[Sequence[ModelEvent]]:
    async with aclosing(model.stream(request)) as stream:
        async for batch in stream:
            yield batch


async def events(model: Model, request: ModelRequest) -> list[ModelEvent]:
    return [event async for batch in batches(model, request) for event in batch]


def text_of(heard: Sequence[ModelEvent]) -> str:
    return "".join(event.text for event in heard if isinstance(event, TextDelta))


def thinking_of(heard: Sequence[ModelEvent]) -> str:
    return "".join(event.text for event in heard if isinstance(event, ThinkingDelta))


def calls_of(heard: Sequence[ModelEvent]) -> list[tuple[str, str]]:
    """Gives (name, arguments) of each call, put together as the engine does."""
    calls: list[tuple[str, str]] = []
    for event in heard:
        if isinstance(event, CallDelta):
            if event.index == len(calls):
                calls.append((event.name, ""))
            name, arguments = calls[event.index]
            calls[event.index] = (name, arguments + event.arguments)
    return calls


def end_of(heard: Sequence[ModelEvent]) -> Finished:
    last = heard[-1]
    assert isinstance(last, Finished)
    assert not any(isinstance(event, Finished) for event in heard[:-1])
    return last
