"""How often a plain turn goes to the store, and how many bytes that moves.

Turns are asked one at a time, with pauses between them. What is asked of the store in the pauses is what Baton asks by
itself: its polls, unless at least half of the turns ask it, too. A turn in which a poll was asked is set aside, because
nobody can tell whose it was; of what is left the median counts. If that is less than half of the turns, nothing was
measured, and the target is missed. The heartbeat is not counted, known by its own connection. Everything else is,
whatever it is: transactions, publishes, what a pool does with its connections.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from statistics import median

from tests.bench.servers import Laboratory
from tests.bench.table import Row
from tests.bench.transactions import counted
from tests.bench.trips import Trip, traffic, trips
from tests.bench.turns import LINGER, PAUSE, Count, Turn, count, late, polls, take_turns
from tests.bench.wire import Piece, tapped

TARGET = 2
PATHS = {"a session's first turn": "/v1/chat", "a later turn": "/v1/agents/assistant/sessions/counted/runs"}

Wire = Sequence[Piece]


async def measure(lab: Laboratory, number: int, pause: float = PAUSE) -> list[Row]:
    """Gives the round trips and the bytes of first turns of new sessions and of later turns of one session."""
    async with _watched(lab) as (port, seen):
        await take_turns(port, tuple(PATHS.values()), 2, pause)  # connections, prepared statements, the session
        turns = await take_turns(port, tuple(PATHS.values()), number, pause)
        asked, wire = seen()
    since, everyone = turns[0][0].began, [turn for group in turns for turn in group]
    own = [trip for trip in asked if trip.at >= since and not trip.is_heartbeat]
    by_itself = polls(everyone, own)
    lab.note(f"asked between turns: {_listed(by_itself)}")
    lab.note(f"asked in the {LINGER:g} s after turns: {_listed(late(everyone, own))}")
    rows: list[Row] = []
    for name, group in zip(PATHS, turns, strict=True):
        rows += _rows(lab, name, _kept(lab, name, group, own, by_itself), wire)
    return rows


def _kept(
    lab: Laboratory, name: str, turns: Sequence[Turn], trips: Sequence[Trip], by_itself: Mapping[str, int]
) -> list[Count]:
    counts = [count(turn, trips) for turn in turns]
    kept = [one for one in counts if not by_itself.keys() & set(one.asked)]
    shapes = Counter(", ".join(one.asked) for one in kept)
    lab.note(f"{name}: {_listed(shapes)}; set aside: {len(counts) - len(kept)}")
    return kept if len(kept) * 2 >= len(counts) else []


def _rows(lab: Laboratory, name: str, counts: Sequence[Count], wire: Wire) -> list[Row]:
    number = _middle([len(one.asked) for one in counts])
    rows = [Row(what=f"store round trips, {name}", value=number, unit="", target=TARGET)]
    if wire:
        moved = [traffic(wire, one.turn.began, one.turn.ended) for one in counts]
        sent, received = _middle([one.sent for one in moved]), _middle([one.received for one in moved])
        lab.note(f"{name}: {sent:.0f} bytes to the store, {received:.0f} back")
        rows.append(Row(what=f"bytes on the wire, {name}", value=sent + received, unit="B"))
    return rows


@asynccontextmanager
async def _watched(lab: Laboratory) -> AsyncGenerator[tuple[int, Callable[[], tuple[list[Trip], Wire]]], None]:
    """Gives the port of a Baton, and what tells all that it has asked its store so far."""
    if not lab.backing.is_remote:
        async with counted(lab) as (ledger, port):
            yield port, lambda: (ledger.trips, ())
        return
    async with tapped(lab.backing.fresh()) as (tap, variables):
        with ExitStack() as stack:  # opened in a thread, since Baton starts through the tap, which runs here
            baton = await asyncio.to_thread(stack.enter_context, lab.baton(store=variables))
            yield baton.port, lambda: (trips(tap.pieces), tap.pieces)


def _listed(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{number} x {what or 'nothing'}" for what, number in counts.items()) or "nothing"


def _middle(numbers: Sequence[int]) -> float:
    return median(numbers) if numbers else float("nan")
