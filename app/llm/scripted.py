"""The scripted provider: plays a YAML script, for tests and demonstrations.

    loop: false                    # after the last turn: an error (default), or from the first again
    turns:                         # the turn to play is the number of assistant messages in the request
      - - thinking: "Let me look."
        - text: "I will read it. "
          chunk: 3                 # code points per delta (default: all at once)
          delay: 0.01              # seconds before each delta (default: 0)
        - call: {name: read_file, arguments: {path: a.txt}}     # a mapping, or a string sent as it is
        - usage: {input_tokens: 10, output_tokens: 5}
      - - text: "Done."
        - stop: length             # default: tool_calls if the turn has a call, else end
    replies:                       # come first, when the last user message contains `match`
      - match: weather
        steps:                     # turns, counted by the assistant messages since that user message
          - - error: {message: "overloaded", retryable: true, retry_after: 1.5}
              times: 1             # only so often in this process (default: always)
            - text: "Sunny"
            - break: true          # the stream ends here without its last event; also takes `times`

A turn is chosen from the request alone, so a script goes on where it was after a restart.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.core.clock import Clock
from app.core.errors import ConfigError, ModelError
from app.core.messages import Message, StopReason, Usage
from app.llm.base import CallDelta, Finished, ModelEvent, ModelRequest, TextDelta, ThinkingDelta


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call."""

    name: str
    arguments: dict[str, Any] | str = {}


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider may answer instead."""

    message: str
    retryable: bool = False
    retry_after: float | None = None


class Action(Struct, frozen=True, kw_only=True, eq=False, forbid_unknown_fields=True):
    """One thing the model does: exactly one of the first seven. Compared by identity, to count its plays."""

    text: str | None = None
    thinking: str | None = None
    call: Call | None = None
    usage: Usage | None = None
    stop: Literal["end", "tool_calls", "length", "refusal", "other"] | None = None
    error: Failure | None = None
    cut: Literal[True] | None = msgspec.field(default=None, name="break")
    chunk: int | None = None
    delay: float = 0.0
    times: int | None = None

    def __post_init__(self) -> None:
        done = (self.text, self.thinking, self.call, self.usage, self.stop, self.error, self.cut)
        if sum(value is not None for value in done) != 1:
            raise ValueError("an action is one of text, thinking, call, usage, stop, error, break")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError("chunk must be at least 1")


Turn = tuple[Action, ...]


class Replies(Struct, frozen=True, forbid_unknown_fields=True):
    """What is played when the last user message contains `match`."""

    match: str
    steps: tuple[Turn, ...]


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole script."""

    turns: tuple[Turn, ...] = ()
    replies: tuple[Replies, ...] = ()
    loop: bool = False


def load_script(source: Path | str) -> Script:
    """Gives the script in that file, or in that text. Raises ConfigError that says what is wrong with it."""
    try:
        text = source.read_text("utf-8") if isinstance(source, Path) else source
        return msgspec.yaml.decode(text, type=Script)
    except (OSError, UnicodeError, msgspec.MsgspecError) as error:
        raise ConfigError(f"the script of the scripted model cannot be used: {error}") from error


class ScriptedModel:
    """Plays a script: a file's, or a text."""

    def __init__(self, source: Path | str, clock: Clock) -> None:
        self._script = load_script(source)
        self._clock = clock
        self._plays: Counter[Action] = Counter()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        turn = choose(self._script, request.messages)
        calls = 0
        for action in turn:
            if not self._is_due(action):
                continue
            if action.cut:
                return
            if action.error:
                failure = action.error
                raise ModelError(failure.message, retryable=failure.retryable, retry_after=failure.retry_after)
            for event in _events(action, calls):
                await self._clock.sleep(action.delay)
                yield (event,)
            calls += action.call is not None
        yield (_finished(turn),)

    def _is_due(self, action: Action) -> bool:
        self._plays[action] += 1
        return action.times is None or self._plays[action] <= action.times


def choose(script: Script, messages: Sequence[Message]) -> Turn:
    """Gives the turn to play after those messages. Raises ModelError when the script is over."""
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
    heard = messages[last].text() if last >= 0 else ""
    steps, counted = script.turns, messages
    for replies in script.replies:
        if replies.match in heard:
            steps, counted = replies.steps, messages[last:]
            break
    place = sum(message.role == "assistant" for message in counted)
    if place >= len(steps) and not (script.loop and steps):
        raise ModelError(
            f"the script is over: it has {len(steps)} turns for this conversation, and {place} were played"
        )
    return steps[place % len(steps)]


def _events(action: Action, calls: int) -> Iterator[ModelEvent]:
    if action.text is not None:
        yield from map(TextDelta, _pieces(action.text, action.chunk))
    if action.thinking is not None:
        yield from map(ThinkingDelta, _pieces(action.thinking, action.chunk))
    if action.call is not None:
        name = action.call.name
        for piece in _pieces(_json(action.call.arguments), action.chunk):
            yield CallDelta(calls, name, piece)
            name = ""


def _pieces(text: str, size: int | None) -> Sequence[str]:
    size = size or len(text) or 1
    return [text[start : start + size] for start in range(0, len(text), size)] or [text]


def _json(arguments: dict[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _finished(turn: Turn) -> Finished:
    stop, usage = None, Usage()
    for action in turn:
        stop = action.stop or stop
        usage = action.usage or usage
    calls = any(action.call for action in turn)
    return Finished(StopReason(stop or ("tool_calls" if calls else "end")), replace(usage, model_calls=1))
