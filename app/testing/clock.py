"""A clock that moves only when told."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """Both clocks of a test. Sleepers wake in the order of their deadlines, inside `advance`."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._passed = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Gives the start plus what was advanced."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Gives the seconds that were advanced."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """Returns once the clock was advanced by that much; at once for nothing."""
        if seconds <= 0:
            return
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), waiter))
        await waiter

    def advance(self, seconds: float) -> None:
        """The time is that many seconds later, and whose sleep is over can run."""
        self._passed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._passed:
            _, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)

    @property
    def sleepers(self) -> int:
        """Gives how many sleeps are under way, so that a test can wait for one to begin."""
        return sum(not waiter.done() for _, _, waiter in self._sleepers)
