"""The event loop's lag: how late it comes to what is due. Whatever blocks the loop delays every stream by as much."""

from collections.abc import Iterable

from app.core.clock import Clock
from app.observability.metrics import STORE_SECONDS, Figure, Histogram, Sample

PROBE_SECONDS = 0.5
LAG = Figure("event_loop_lag_seconds", f"How late a timer went off, asked every {PROBE_SECONDS:g} s.")


class LoopLag:
    """Sets a timer twice a second, and sees how late it is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lag = Histogram(STORE_SECONDS)

    async def probe_forever(self) -> None:
        """The lag is measured for as long as this runs."""
        while True:
            due = self._clock.monotonic() + PROBE_SECONDS
            await self._clock.sleep(PROBE_SECONDS)
            self._lag.observe(max(0.0, self._clock.monotonic() - due))

    def samples(self) -> Iterable[Sample]:
        yield LAG.of(self._lag)
