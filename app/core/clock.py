"""Time, injected: nothing else in Baton asks the operating system what time it is."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits. A test's clock moves only when told."""

    def now(self) -> datetime:
        """Gives the wall clock's time in UTC, for people and records."""
        ...

    def monotonic(self) -> float:
        """Gives seconds that never run backwards, for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after that many seconds."""
        ...


class SystemClock:
    """The machine's own clocks. `monotonic` counts through a suspend (CLOCK_BOOTTIME)."""

    def now(self) -> datetime:
        """Gives the wall clock's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Gives seconds since boot, time asleep included: a paused machine notices that it was away."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Returns after that many seconds of the event loop's clock."""
        await asyncio.sleep(seconds)
