"""Counts the calls that reach the ports: a budget of round trips is a claim that a test can check."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from app.testing.interception import intercepted

P = TypeVar("P")


class CallCounter:
    """Counts calls by port and method, over all ports it watches."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()

    def watch(self, port: P, name: str) -> P:
        """Gives the port, counted under that name."""
        return intercepted(port, name, self._count)

    def total(self, *ports: str) -> int:
        """Gives how many calls reached those ports, or all of them if none is named."""
        return sum(count for (port, _), count in self.calls.items() if not ports or port in ports)

    def reset(self) -> None:
        """Nothing has been counted."""
        self.calls.clear()

    async def _count(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.calls[port, method] += 1
        return await call()
