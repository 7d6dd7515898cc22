"""Tools of the tests' own: an effect that can be counted, a call that can be held back, one that fails."""

import asyncio
from collections import Counter

from app.core.errors import ToolError
from app.core.records import Effect
from app.core.tools import ToolOutput, ToolSpec
from app.tools.base import Arguments, ToolContext, describe


class NoArguments(Arguments, frozen=True):
    """Nothing."""


class CountingTool:
    """Counts its effects by key; with a gate, it waits there before its effect, or after it."""

    def __init__(
        self,
        name: str = "count",
        effect: Effect = Effect.UNSAFE,
        *,
        before: asyncio.Event | None = None,
        after: asyncio.Event | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.effects: Counter[str] = Counter()
        self.attempts: list[bool] = []
        """Of each attempt: whether the tool was told that an earlier one may have taken effect."""
        self.entered = asyncio.Event()
        self.done = asyncio.Event()
        self._before, self._after = before, after
        self._spec = describe(name, "Counts.", NoArguments, effect, timeout)

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        self.attempts.append(context.again)
        self.entered.set()
        if self._before is not None:
            await self._before.wait()
        if self._spec.effect is not Effect.KEYED or context.key not in self.effects:
            self.effects[context.key] += 1
        self.done.set()
        if self._after is not None:
            await self._after.wait()
        return ToolOutput(text="counted")


class TalkingTool:
    """Shows output while it runs."""

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces
        self.spec = describe("talk", "Talks.", NoArguments, Effect.PURE)

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        for piece in self._pieces:
            context.emit(piece)
            await asyncio.sleep(0)
        return ToolOutput(text="".join(self._pieces))


class FailingTool:
    """Raises what it was given, or returns a text of any length."""

    def __init__(self, outcome: Exception | str) -> None:
        self._outcome = outcome
        self.spec = describe("fail", "Fails.", NoArguments, Effect.PURE)

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return ToolOutput(text=self._outcome)


def refusal(text: str) -> FailingTool:
    """Gives a tool that tells the model so."""
    return FailingTool(ToolError(text))
