"""What a streamed chunk costs, and how soon the first one comes: Baton and the floor in turns, in one run."""

from collections.abc import Sequence
from statistics import median, quantiles

from msgspec import Struct

from tests.bench.load import Target, ask, flood
from tests.bench.processes import Process
from tests.bench.servers import Laboratory, target_of
from tests.bench.table import Row

CPU_TARGETS = {"sqlite": 1.5, "redis": 1.5, "postgres": 1.7, "postgres+redis": 1.7}
FIRST_TARGET_MS = 5.0
INFORMING_ROUNDS = 2
"""Rounds at a pace that has no target."""


class Plan(Struct, frozen=True, kw_only=True):
    """How much is measured."""

    rounds: int = 5
    streams: int = 50
    chunks: int = 100
    paces: tuple[int, ...] = (20,)
    """Milliseconds between chunks. The first one is the one with the target."""
    firsts: int = 100


class Rate(Struct, frozen=True):
    """One round: microseconds of CPU per chunk that the model sent, and frames per chunk that the client got."""

    cpu: float
    frames: float


async def measure(lab: Laboratory, plan: Plan) -> list[Row]:
    """Gives the rows of the streams."""
    with lab.floor() as floor, lab.baton() as baton:
        pair = ((floor, target_of(floor)), (baton, target_of(baton)))
        for process, target in pair:  # what is done once only: imports, caches, prepared statements
            await _round(process, target, 0, plan)
        rows = [await _chunk_row(lab, pair, pace, plan) for pace in plan.paces]
        return [*rows, await _first_row(lab, pair, plan)]


async def _chunk_row(lab: Laboratory, pair: Sequence[tuple[Process, Target]], pace: int, plan: Plan) -> Row:
    rates: tuple[list[Rate], list[Rate]] = ([], [])
    is_judged = pace == plan.paces[0]
    for _ in range(plan.rounds if is_judged else min(plan.rounds, INFORMING_ROUNDS)):
        for (process, target), found in zip(pair, rates, strict=True):
            found.append(await _round(process, target, pace, plan))
    floor, baton = ([rate.cpu for rate in found] for found in rates)
    frames = [median(rate.frames for rate in found) for found in rates]
    lab.note(f"{pace} ms, us per chunk: floor {_raw(floor)}; Baton {_raw(baton)}; frames per chunk {frames}")
    return Row(
        what=f"server CPU per chunk, {plan.streams} streams, {pace} ms apart",
        value=median(baton),
        floor=median(floor),
        unit="us",
        how="ratio",
        target=CPU_TARGETS[lab.backing.name] if is_judged else None,
    )


async def _round(process: Process, target: Target, pace: int, plan: Plan) -> Rate:
    before = process.cpu()
    seen = await flood(target, plan.streams, pace, plan.chunks)
    chunks = plan.streams * plan.chunks
    return Rate((process.cpu() - before) / chunks * 1e6, sum(one.frames for one in seen) / chunks)


async def _first_row(lab: Laboratory, pair: Sequence[tuple[Process, Target]], plan: Plan) -> Row:
    """The wall time from request to first text, one stream at a time."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(plan.firsts):
        for (_, target), found in zip(pair, times, strict=True):
            found.append((await ask(target, 0, 5)).first * 1e3)
    floor, baton = (median(found) for found in times)
    tails = [quantiles(found, n=20)[-1] for found in times]
    lab.note(f"first token, p50 and p95, ms: floor {_raw([floor, tails[0]])}; Baton {_raw([baton, tails[1]])}")
    return Row(
        what="time to first token, unloaded, p50",
        value=baton,
        floor=floor,
        unit="ms",
        how="over",
        target=FIRST_TARGET_MS,
    )


def _raw(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.2f}" for number in numbers)
