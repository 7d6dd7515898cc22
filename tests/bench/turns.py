"""Plain turns, one at a time with pauses between them, and what each asked the store for."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic

from msgspec import Struct

from tests.bench.load import Target, ask
from tests.bench.trips import Trip

CHUNKS = 10
PAUSE = 0.3
LINGER = 0.1
"""Seconds after a turn in which what is asked may still be the turn's; it is shown, but not counted."""


class Turn(Struct, frozen=True):
    """A turn: from the request until its stream has ended."""

    began: float
    ended: float

    def has(self, at: float, linger: float = 0.0) -> bool:
        """Says whether that moment lies within it, or so soon after its end."""
        return self.began <= at <= self.ended + linger


class Count(Struct, frozen=True):
    """What was asked while a turn went on."""

    turn: Turn
    asked: tuple[str, ...]


async def take_turns(port: int, paths: Sequence[str], number: int, pause: float) -> list[list[Turn]]:
    """Gives the turns of each path, which alternate."""
    turns: list[list[Turn]] = [[] for _ in paths]
    for _ in range(number):
        for path, found in zip(paths, turns, strict=True):
            await asyncio.sleep(pause)
            began = monotonic()
            await ask(Target(port, path), 0, CHUNKS)
            found.append(Turn(began, monotonic()))
    await asyncio.sleep(pause)
    return turns


def count(turn: Turn, trips: Iterable[Trip]) -> Count:
    """Gives what was asked while the turn went on."""
    return Count(turn, tuple(trip.what for trip in trips if turn.has(trip.at)))


def polls(turns: Sequence[Turn], trips: Sequence[Trip]) -> Mapping[str, int]:
    """Gives what Baton asks by itself: what was asked while no turn went on, nor had just ended.

    What every other turn asks, too, is a turn's own: `BEGIN`, say, would be asked by both.
    """
    usual = Counter(what for turn in turns for what in set(count(turn, trips).asked))
    outside = Counter(trip.what for trip in trips if not any(turn.has(trip.at, LINGER) for turn in turns))
    return {what: number for what, number in outside.items() if usual[what] * 2 < len(turns)}


def late(turns: Sequence[Turn], trips: Sequence[Trip]) -> Mapping[str, int]:
    """Gives what was asked just after turns had ended."""
    return Counter(trip.what for trip in trips for turn in turns if turn.has(trip.at, LINGER) and not turn.has(trip.at))
