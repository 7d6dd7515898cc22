"""A model whose answers a test writes, piece by piece, and can hold back; the conversation picks the answer."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct

from app.core.errors import ModelError
from app.core.messages import StopReason, Usage
from app.llm.base import CallDelta, Finished, ModelEvent, ModelRequest, TextDelta, ThinkingDelta


class Call(Struct, frozen=True):
    """The answer asks for a call."""

    name: str
    arguments: str


class Thought(Struct, frozen=True):
    """The answer thinks."""

    text: str


Piece = str | Call | Thought | ModelError | asyncio.Event
"""Text, a call, an error to raise, or an event to wait for."""


class Puppet:
    """The n-th answer (n counts the assistant's messages in the conversation) is `answers[n]`, or the last of them."""

    def __init__(self, *answers: Sequence[Piece]) -> None:
        self.answers = answers
        self.requests: list[ModelRequest] = []
        self.began = asyncio.Event()
        """Set whenever a request arrives."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelEvent], None]:
        self.requests.append(request)
        self.began.set()
        said = sum(message.role == "assistant" and not message.incomplete for message in request.messages)
        calls = 0
        for piece in self.answers[min(said, len(self.answers) - 1)]:
            match piece:
                case str():
                    yield [TextDelta(piece)]
                case Thought():
                    yield [ThinkingDelta(piece.text)]
                case Call():
                    yield [CallDelta(calls, piece.name, piece.arguments)]
                    calls += 1
                case ModelError():
                    raise piece
                case asyncio.Event():
                    await piece.wait()
        stop = StopReason("tool_calls" if calls else "end")
        yield [Finished(stop, Usage(input_tokens=10, output_tokens=5))]
