"""How evenly frames come while many slow streams are open: the gaps between a stream's frames."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median, quantiles
from time import monotonic

from msgspec import Struct

from tests.bench.load import Stream, open_stream, question
from tests.bench.processes import Process
from tests.bench.servers import Laboratory, target_of
from tests.bench.table import Row

ENDLESS = 999
"""Chunks in an answer that nobody waits for the end of."""
BEGIN_SECONDS = 30.0
SETTLE_SECONDS = 0.5


class Crowd(Struct, frozen=True):
    """So many streams, so many milliseconds between their chunks.

    They begin evenly within `ramp` seconds. What counts comes later, while none begins or ends: `windows` times so many
    seconds, of which the median counts, for a machine's other work comes in bursts.
    """

    streams: int
    pace: int
    ramp: float
    seconds: float = 1.2
    windows: int = 3


async def measure(lab: Laboratory, crowds: Sequence[Crowd]) -> list[Row]:
    """Gives the 95th percentile of the gaps, with each crowd."""
    return [await _row(lab, crowd) for crowd in crowds]


async def _row(lab: Laboratory, crowd: Crowd) -> Row:
    with lab.floor() as floor:
        bare = await _gap(lab, "the floor", floor, crowd)
    with lab.baton(slots=crowd.streams) as baton:
        value = await _gap(lab, "Baton", baton, crowd)
    what = f"gap between frames, p95, {crowd.streams:,} streams, {crowd.pace} ms apart"
    return Row(what=what, value=value, floor=bare, unit="ms", how="over")


async def _gap(lab: Laboratory, name: str, process: Process, crowd: Crowd) -> float:
    streams: list[Stream] = []
    try:
        await _open(streams, process, crowd)
        await asyncio.sleep(SETTLE_SECONDS)
        before, marks = process.cpu(), [monotonic()]
        for _ in range(crowd.windows):
            await asyncio.sleep(crowd.seconds)
            marks.append(monotonic())
        busy = (process.cpu() - before) / (marks[-1] - marks[0])
        if any(stream.done.done() for stream in streams):
            raise RuntimeError(f"a stream ended early through {name}")
    finally:
        _abort(streams)
    found = [_quantiles(gaps_between(streams, *window)) for window in pairwise(marks)]
    shown = "; ".join(" ".join(f"{value:.1f}" for value in window) for window in found)
    lab.note(f"{crowd.streams} streams through {name}: p50 p95 p99 of the gaps, in ms: {shown}; {busy:.0%} of its core")
    return median(p95 for _, p95, _ in found)


def _quantiles(gaps: Sequence[float]) -> tuple[float, float, float]:
    """Gives the 50th, the 95th and the 99th percentile, in milliseconds."""
    cuts = quantiles(gaps, n=100)
    return cuts[49] * 1e3, cuts[94] * 1e3, cuts[98] * 1e3


async def _open(streams: list[Stream], process: Process, crowd: Crowd) -> None:
    request, began = question(target_of(process), crowd.pace, ENDLESS), monotonic()
    for number in range(crowd.streams):
        streams.append(await open_stream(process.port, request, ENDLESS))
        await asyncio.sleep(began + crowd.ramp * number / crowd.streams - monotonic())
    async with asyncio.timeout(BEGIN_SECONDS):
        await asyncio.gather(*(stream.begun for stream in streams))


def _abort(streams: Sequence[Stream]) -> None:
    for stream in streams:
        if stream.transport is not None:
            stream.transport.abort()


def gaps_between(streams: Iterable[Stream], since: float, until: float) -> list[float]:
    """Gives the gaps between each stream's frames that ended in that stretch of time."""
    pairs = (pair for stream in streams for pair in pairwise(stream.times))
    return [later - earlier for earlier, later in pairs if since <= later < until]
