"""Figures: what is measured, by plain numbers that their owners count and nobody copies before they are asked for.

A **figure** is a name with its meaning; a **sample** is one figure's value now, under labels that come from a small,
closed set: never a tenant, a user, a session or a run. Whoever counts is a **source**; `exposition.py` asks all sources
at each scrape.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

STORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Buckets for what should take milliseconds."""
WORK_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Buckets for what may take minutes: model calls and tools."""


class Histogram:
    """Counts values by size. A value equal to a bound is within it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(map(float, bounds))
        self.counts = [0] * (len(self.bounds) + 1)
        """How many values lie within each bound and beyond the one before; the last: beyond all bounds."""
        self.total = 0.0
        """The sum of all values."""

    def observe(self, value: float) -> None:
        """The value is counted."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Figure(Struct, frozen=True):
    """What is measured, and the names of its labels.

    What only grows ends in `_total`, and before that in its unit; seconds and bytes are the units.
    """

    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    def of(self, value: "float | Histogram", *labels: str) -> "Sample":
        """Gives a sample under those labels' values, in the order of their names."""
        return Sample(self, value, labels)


class Sample(Struct, frozen=True):
    """A figure's value at one moment."""

    figure: Figure
    value: float | Histogram
    labels: tuple[str, ...] = ()


class Source(Protocol):
    """Somebody who counts."""

    def samples(self) -> Iterable[Sample]:
        """Gives what was counted since the start, and how things are now. Never waits, and costs next to nothing."""
        ...
