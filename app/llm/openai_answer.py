"""An answer as it arrives: bytes of a chat completions stream in, events out. No I/O, so any cut can be tested."""

from typing import Literal

import msgspec

from app.core.errors import ModelError
from app.core.messages import StopReason, Usage
from app.llm.base import Finished, ModelEvent, TextDelta, ThinkingDelta
from app.llm.openai_calls import CallBook
from app.llm.openai_errors import error_in_stream
from app.llm.openai_wire import Chunk, WireDelta, WireUsage
from app.llm.sse import EventSplitter

Kind = Literal["end", "tool_calls", "length", "refusal", "other"]

_KINDS: dict[str, Kind] = {
    "stop": "end",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "content_filter": "refusal",
}

_decoder = msgspec.json.Decoder(Chunk)


class Answer:
    """One stream's state. `done`: the last event is out. `key` is kept out of every error's text."""

    def __init__(self, key: str | None = None) -> None:
        self.done = False
        self._key = key
        self._failure: ModelError | None = None
        self._splitter = EventSplitter()
        self._calls = CallBook()
        self._finish: str | None = None
        self._refused = False
        self._usage = Usage(model_calls=1)

    def feed(self, piece: bytes) -> list[ModelEvent]:
        """Gives the events that this piece completes. Raises ModelError for an error or nonsense in the stream."""
        self.check()
        return self._read(self._splitter.feed(piece))

    def check(self) -> None:
        """Raises the ModelError that was read behind the last events, if there was one."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> list[ModelEvent]:
        """Gives the last events of a stream that has ended. Raises ModelError if the answer is not whole."""
        self.check()
        events = self._read_rest()
        if not self.done:
            events.append(self._finished())
            self.done = True
        return events

    @property
    def whole(self) -> bool:
        """Whether the model has said that it stopped: what is missing then is at most the usage."""
        return self._finish is not None

    def _read_rest(self) -> list[ModelEvent]:
        try:
            return [] if self.done else self._read(self._splitter.close())
        except ModelError:
            if not self.whole:
                raise
            return []

    def _read(self, datas: list[bytes]) -> list[ModelEvent]:
        """Gives the events before an error, if there are any, and keeps the error: so the cuts make no difference."""
        events: list[ModelEvent] = []
        try:
            for data in datas:
                if not self.done:
                    self._take(data, events)
        except ModelError as error:
            if not events:
                raise
            self._failure = error
        return events

    def _take(self, data: bytes, events: list[ModelEvent]) -> None:
        if data == b"[DONE]":
            events.append(self._finished())
            self.done = True
        else:
            self._take_chunk(_decode(data), events)

    def _take_chunk(self, chunk: Chunk, events: list[ModelEvent]) -> None:
        if chunk.error is not None:
            raise error_in_stream(chunk.error, self._key)
        for choice in chunk.choices or ():
            if choice.delta is not None:
                self._take_delta(choice.delta, events)
            if choice.finish_reason:
                self._finish = choice.finish_reason
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)

    def _take_delta(self, delta: WireDelta, events: list[ModelEvent]) -> None:
        if thought := delta.reasoning_content or delta.reasoning:
            events.append(ThinkingDelta(thought))
        if text := delta.content:
            events.append(TextDelta(text))
        if refusal := delta.refusal:
            self._refused = True
            events.append(TextDelta(refusal))
        for fragment in delta.tool_calls or ():
            events.extend(self._calls.take(fragment))

    def _finished(self) -> Finished:
        if self._finish is None:
            raise ModelError("the provider's stream ended before its answer did", retryable=True)
        if self._calls.nameless():
            raise ModelError("the provider sent a tool call without a name", retryable=True)
        return Finished(StopReason(self._kind(self._finish), self._finish), self._usage)

    def _kind(self, finish: str) -> Kind:
        kind = _KINDS.get(finish, "other")
        if kind != "end":
            return kind
        if self._refused:
            return "refusal"
        return "tool_calls" if self._calls.count else "end"


def _decode(data: bytes) -> Chunk:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ModelError(f"the provider sent a chunk that cannot be read: {error}", retryable=True) from error


def _usage(wire: WireUsage) -> Usage:
    details = wire.prompt_tokens_details
    return Usage(
        input_tokens=wire.prompt_tokens or 0,
        output_tokens=wire.completion_tokens or 0,
        cached_tokens=(details and details.cached_tokens) or 0,
        model_calls=1,
    )
