"""Fault injection: the k-th call to a store goes wrong in one chosen way, and k rises until a run needs fewer calls.

So crash points are enumerated, not slept for: a test that survives every k under every mishap has survived a fault at
each place where the program meets its store.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, TypeVar

from app.core.errors import StoreUnavailable
from app.testing.interception import intercepted

P = TypeVar("P")


class Mishap(StrEnum):
    """What becomes of the chosen call."""

    FAILS = "fails"
    """Nothing happens; the caller gets StoreUnavailable."""
    REPLY_LOST = "reply_lost"
    """It takes effect; the caller gets StoreUnavailable."""
    HANGS = "hangs"
    """Nothing happens, and the caller waits until it is cancelled."""
    DIES = "dies"
    """It takes effect, but neither it nor any later call ever returns: what a killed process leaves behind."""


class Faulty:
    """Guards ports, counts their calls together, and lets the `at`-th (from 1) meet with the mishap."""

    def __init__(self, at: int, mishap: Mishap) -> None:
        self.at = at
        self.mishap = mishap
        self.calls = 0
        self.struck = asyncio.Event()
        """Set once the mishap has happened (for DIES and HANGS: once the call waits)."""

    @property
    def is_fatal(self) -> bool:
        """Says whether nothing that uses the ports goes on after the mishap."""
        return self.mishap in {Mishap.HANGS, Mishap.DIES}

    def guard(self, port: P, name: str) -> P:
        """Gives the port, guarded."""
        return intercepted(port, name, self._strike)

    async def _strike(self, port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.calls += 1
        if self.calls < self.at:
            return await call()
        if self.calls > self.at:
            return await (self._hang() if self.mishap is Mishap.DIES else call())
        if self.mishap in {Mishap.REPLY_LOST, Mishap.DIES}:
            await call()
        self.struck.set()
        if self.mishap in {Mishap.HANGS, Mishap.DIES}:
            await self._hang()
        raise StoreUnavailable(f"call {self.at}, {port}.{method}, was made to fail: {self.mishap}")

    async def _hang(self) -> None:
        await asyncio.Event().wait()
