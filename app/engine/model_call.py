"""One model call: the conversation in, a message out, shown while it is written."""

import asyncio
import logging
import re
from collections.abc import Sequence

from msgspec.structs import replace

from app.core.clock import Clock
from app.core.errors import BatonError, ModelError
from app.core.ids import ItemId, call_id, item_id
from app.core.messages import Message, Part, StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from app.core.state import ActiveRun
from app.engine.interrupt import is_cancelled
from app.engine.shown import Shown
from app.engine.spill import unicode
from app.llm.base import CallDelta, Finished, Model, ModelEvent, ModelRequest, TextDelta, ThinkingDelta

log = logging.getLogger(__name__)

MAX_CALLS = 64
"""Calls in one message."""
MAX_PARTS = 64
"""Parts after which text goes on in the last text, and thinking in the last thinking."""
NAME_CHARS = 64

_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
"""What a call's name may not hold: providers refuse a history with such a name in it, whatever wrote it."""


class _Text:
    def __init__(self, kind: type[TextPart] | type[ThinkingPart]) -> None:
        self.kind = kind
        self.pieces: list[str] = []


class _Call:
    def __init__(self, item: ItemId, name: str) -> None:
        self.item, self.name = item, name
        self.pieces: list[str] = []


class ModelCall:
    """Collects a message from a model's events. After an error or a cancel, `partial` is what was shown."""

    def __init__(self, run: ActiveRun, model: str, shown: Shown, clock: Clock) -> None:
        self.model = model
        """The model's name as `provider:model`."""
        self.item = item_id(run.run_id, run.step, 0)
        self.finished: Finished | None = None
        self._run = run
        self._shown = shown
        self._clock = clock
        self._parts: list[_Text | _Call] = []
        self._calls: list[_Call] = []

    async def run(self, model: Model, request: ModelRequest) -> Message:
        """Gives the whole answer. Raises ModelError; what came before it stays in `partial`."""
        try:
            await self._collect(model, request)
        except BatonError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            log.exception("the model failed")
            raise ModelError(f"the model failed with an internal {type(error).__name__}") from error
        if self.finished is None:
            raise ModelError("the model's stream ended before its answer did", retryable=True)
        return self.message()

    async def _collect(self, model: Model, request: ModelRequest) -> None:
        stream = model.stream(request)
        try:
            async for batch in stream:
                self._take(batch)
                if delay := self._shown.delay:  # meanwhile the provider's next pieces gather, and become one read
                    await self._clock.sleep(delay)
                self._shown.flush()
        finally:
            self._shown.flush()
            await stream.aclose()

    @property
    def has_begun(self) -> bool:
        """Says whether anything was shown."""
        return bool(self._parts)

    @property
    def usage(self) -> Usage:
        """Gives what the provider counted, and what we count: this call, and the calls it asks for."""
        counted = self.finished.usage if self.finished else Usage()
        return replace(counted, model_calls=1, tool_calls=len(self._calls))

    @property
    def stop(self) -> StopReason:
        """Gives why the model stopped."""
        return self.finished.stop if self.finished else StopReason("other", "cut off")

    def message(self) -> Message:
        """Gives the answer so far as a message, calls included."""
        return Message(role="assistant", parts=tuple(_part(part) for part in self._parts))

    def partial(self) -> Message | None:
        """Gives what was shown of an answer that was cut off, or None if that is nothing. Calls are dropped."""
        parts = tuple(_part(part) for part in self._parts if isinstance(part, _Text))
        return Message(role="assistant", parts=parts, incomplete=True) if parts else None

    def _take(self, batch: Sequence[ModelEvent]) -> None:
        for event in batch:
            match event:
                case TextDelta(text=text):
                    self._add_text(TextPart, text)
                case ThinkingDelta(text=text):
                    self._add_text(ThinkingPart, text)
                case CallDelta():
                    self._add_call(event)
                case Finished():
                    self.finished = event

    def _add_text(self, kind: type[TextPart] | type[ThinkingPart], text: str) -> None:
        if text:
            text = unicode(text)
            part = self._parts[-1] if self._parts else None
            if not isinstance(part, _Text) or part.kind is not kind:
                part = self._text(kind)
            part.pieces.append(text)
            self._shown.add(self._run.run_id, self.item, "text" if kind is TextPart else "thinking", text)

    def _text(self, kind: type[TextPart] | type[ThinkingPart]) -> _Text:
        """Gives a new part, for the last one is of another kind; once there are too many, the last of its kind."""
        known = self._parts if len(self._parts) >= MAX_PARTS else ()
        for part in reversed(known):
            if isinstance(part, _Text) and part.kind is kind:
                return part
        part = _Text(kind)
        self._parts.append(part)
        return part

    def _add_call(self, delta: CallDelta) -> None:
        while len(self._calls) <= delta.index:
            if len(self._calls) == MAX_CALLS:
                raise ModelError(f"the model made more than {MAX_CALLS} calls at once")
            name = _ILLEGAL.sub("_", delta.name)[:NAME_CHARS] or "_"
            call = _Call(item_id(self._run.run_id, self._run.step, len(self._calls) + 1), name)
            self._calls.append(call)
            self._parts.append(call)
        call = self._calls[delta.index]
        if delta.arguments:
            arguments = unicode(delta.arguments)
            call.pieces.append(arguments)
            self._shown.add(self._run.run_id, call.item, "args", arguments)


def _part(part: _Text | _Call) -> Part:
    if isinstance(part, _Text):
        return part.kind(text="".join(part.pieces))
    return ToolCallPart(
        item=part.item, call_id=call_id(part.item), name=part.name, arguments="".join(part.pieces) or "{}"
    )
