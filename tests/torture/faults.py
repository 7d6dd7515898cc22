"""The faults that were injected, and when: every gap and every reset that a client was shown must be one's doing."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from msgspec import Struct

SETTLE_SECONDS = 10.0
"""How long after its end a fault may still show: a lease, a takeover, and clients that were away."""


class Fault(Struct):
    """One fault, from when to when."""

    name: str
    began: float
    ended: float | None = None

    def explains(self, moment: float) -> bool:
        """Says whether something that happened then may be this fault's doing."""
        return self.began <= moment and (self.ended is None or moment <= self.ended + SETTLE_SECONDS)


class FaultLog:
    """What was done to the servers."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    @contextmanager
    def during(self, name: str) -> Generator[None, None, None]:
        """What happens in the body is that fault's doing."""
        fault = Fault(name, time.monotonic())
        self.faults.append(fault)
        try:
            yield
        finally:
            fault.ended = time.monotonic()

    def explains(self, moment: float) -> bool:
        """Says whether any fault was at work then."""
        return any(fault.explains(moment) for fault in self.faults)
