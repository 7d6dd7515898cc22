"""What a streamed chunk costs, and how soon the first one comes: Baton and the floor in turns, in one run."""

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from tests.bench.load import Target, ask, flood
from tests.bench.processes import Process
from tests.bench.servers import Laboratory, target_of
from tests.bench.table import Row

CPU_TARGET = 1.5
FIRST_TARGET_MS = 5.0


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
        rows: list[Row] = []
        for pace in plan.paces:
            rows += await _chunk_rows(pair, pace, plan)
        return [*rows, await _first_row(pair, plan)]


async def _chunk_rows(pair: Sequence[tuple[Process, Target]], pace: int, plan: Plan) -> list[Row]:
    rates: tuple[list[Rate], list[Rate]] = ([], [])
    for _ in range(plan.rounds):
        for (process, target), found in zip(pair, rates, strict=True):
            found.append(await _round(process, target, pace, plan))
    floor, baton = ([rate.cpu for rate in found] for found in rates)
    frames = [median(rate.frames for rate in found) for found in rates]
    print(f"# {pace} ms, us per chunk: floor {_raw(floor)}; Baton {_raw(baton)}; frames per chunk {frames}", flush=True)
    target = CPU_TARGET if pace == plan.paces[0] else None
    return [
        Row(
            what=f"server CPU per chunk, {plan.streams} streams, {pace} ms apart",
            value=median(baton),
            floor=median(floor),
            unit="us",
            how="ratio",
            target=target,
        )
    ]


async def _round(process: Process, target: Target, pace: int, plan: Plan) -> Rate:
    before = process.cpu()
    seen = await flood(target, plan.streams, pace, plan.chunks)
    chunks = plan.streams * plan.chunks
    return Rate((process.cpu() - before) / chunks * 1e6, sum(one.frames for one in seen) / chunks)


async def _first_row(pair: Sequence[tuple[Process, Target]], plan: Plan) -> Row:
    """The wall time from request to first text, one stream at a time."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(plan.firsts):
        for (_, target), found in zip(pair, times, strict=True):
            found.append((await ask(target, 0, 5)).first * 1e3)
    floor, baton = (median(found) for found in times)
    return Row(
        what="time to first token, unloaded, p50",
        value=baton,
        floor=floor,
        unit="ms",
        how="over",
        target=FIRST_TARGET_MS,
    )


def _raw(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.1f}" for number in numbers)
