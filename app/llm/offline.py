"""The offline provider: serves when no key is configured. It understands nothing, but its tool calls are real.

Lines of the user's last message that begin with `/` are commands (see `commands.py`); each becomes a tool call or a
sentence. Anything else is echoed. After tool results it quotes them.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence

from app.core.clock import Clock
from app.core.messages import Message, StopReason, ToolResultPart, Usage
from app.llm.base import CallDelta, Finished, ModelEvent, ModelRequest, TextDelta
from app.llm.commands import SUMMARY, Reply, ToolUse, understand

_WORD = re.compile(r"\S+\s*|\s+")
_FRAGMENTS = 20
"""At most so many pieces of one call's arguments, however long they are."""
_WHO = "I am the offline model: I serve while no provider is configured, and I do not understand what I read."
_MAX_ECHO = 200
_MAX_QUOTE = 1000


class OfflineModel:
    """Answers without any network, word by word, `delay` seconds apart."""

    def __init__(self, clock: Clock, delay: float = 0.01) -> None:
        self._clock = clock
        self._delay = delay

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        reply = _reply(request)
        for event in _events(reply):
            yield (event,)
            await self._clock.sleep(self._delay)
        yield (Finished(StopReason("tool_calls" if reply.calls else "end"), _usage(request, reply)),)


def _reply(request: ModelRequest) -> Reply:
    results = _results(request.messages)
    if results:
        return Reply("\n\n".join(map(_quote, results)))
    heard = next((message.text() for message in reversed(request.messages) if message.role == "user"), "")
    return understand(heard, frozenset(tool.name for tool in request.tools)) or _echo(heard)


def _results(messages: Sequence[Message]) -> list[ToolResultPart]:
    """Gives the results the conversation ends with, in order."""
    results: list[ToolResultPart] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        results[:0] = [part for part in message.parts if isinstance(part, ToolResultPart)]
    return results


def _quote(result: ToolResultPart) -> str:
    says = "failed and says" if result.is_error else "says"
    return f"The tool {result.name} {says}:\n{_cut(result.text, _MAX_QUOTE)}"


def _echo(heard: str) -> Reply:
    said = _cut(heard.strip(), _MAX_ECHO)
    return Reply(f"{_WHO} You said: {said or 'nothing'}\n\n{SUMMARY}")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit} more characters)"


def _events(reply: Reply) -> Iterator[ModelEvent]:
    yield from map(TextDelta, _WORD.findall(reply.text))
    for index, call in enumerate(reply.calls):
        yield from _fragments(index, call)


def _fragments(index: int, call: ToolUse) -> Iterator[CallDelta]:
    size = max(8, -(-len(call.arguments) // _FRAGMENTS))
    for start in range(0, len(call.arguments), size):
        yield CallDelta(index, "" if start else call.name, call.arguments[start : start + size])


def _usage(request: ModelRequest, reply: Reply) -> Usage:
    """Gives an estimate: four characters to a token."""
    parts = (part for message in request.messages for part in message.parts)
    heard = len(request.system) + sum(len(getattr(part, "text", "")) for part in parts)
    said = len(reply.text) + sum(len(call.arguments) for call in reply.calls)
    return Usage(input_tokens=heard // 4, output_tokens=said // 4, model_calls=1)
