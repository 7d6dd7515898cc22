"""Metered tools: how long calls take. How they end is tallied from the records, which know of time-outs and doubts."""

from collections.abc import Iterable

from app.core.clock import Clock
from app.core.tools import ToolOutput, ToolSpec
from app.observability.metrics import WORK_SECONDS, Figure, Histogram, Sample
from app.tools.base import Tool, ToolContext

SECONDS = Figure("tool_call_seconds", "How long calls of a tool took, whatever came of them.", ("tool",))


class MeteredTool:
    """Wraps a tool."""

    def __init__(self, inner: Tool, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._times = Histogram(WORK_SECONDS)

    @property
    def spec(self) -> ToolSpec:
        return self._inner.spec

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        began = self._clock.monotonic()
        try:
            return await self._inner.run(arguments, context)
        finally:
            self._times.observe(self._clock.monotonic() - began)

    def samples(self) -> Iterable[Sample]:
        yield SECONDS.of(self._times, self.spec.name)
