"""Whether a session gets slower as it gets longer: its late turns against first turns."""

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from tests.bench.load import ask
from tests.bench.processes import Process
from tests.bench.servers import Laboratory, target_of
from tests.bench.table import Row

TARGET = 1.2
CHUNKS = 100


class Turn(Struct, frozen=True):
    """What one turn took, in milliseconds."""

    cpu: float
    wall: float


async def measure(lab: Laboratory, places: Sequence[int], window: int) -> list[Row]:
    """Gives the CPU and the wall time of the `window` turns up to each place in one session, against first turns."""
    rows: list[Row] = []
    with lab.baton() as baton:
        for number in range(window):
            await _turn(baton, f"warm{number}")
        done = 0
        for place in places:
            for _ in range(place - window - done):
                await _turn(baton, "long")
            rows += await _rows(lab, baton, place, window, is_judged=place == places[-1])
            done = place
    return rows


async def _rows(lab: Laboratory, baton: Process, place: int, window: int, *, is_judged: bool) -> list[Row]:
    """First turns and late ones alternate, so that what disturbs them disturbs both."""
    late: list[Turn] = []
    early: list[Turn] = []
    for number in range(window):
        early.append(await _turn(baton, f"fresh{place}-{number}"))
        late.append(await _turn(baton, "long"))
    lab.note(f"turn {place:,}, ms of CPU: first {_raw(early)}; late {_raw(late)}")
    what, target = f"turn {place:,} against turn 1", TARGET if is_judged else None
    long, first = (sum(turn.cpu for turn in found) / window for found in (late, early))
    return [
        Row(what=f"{what}, CPU (mean)", value=long, floor=first, unit="ms", how="ratio", target=target),
        Row(
            what=f"{what}, wall (median)",
            value=median(turn.wall for turn in late),
            floor=median(turn.wall for turn in early),
            unit="ms",
            how="ratio",
            target=target,
        ),
    ]


def _raw(turns: Sequence[Turn]) -> str:
    return " ".join(f"{turn.cpu:.2f}" for turn in turns)


async def _turn(baton: Process, session: str) -> Turn:
    before = baton.cpu()
    seen = await ask(target_of(baton, session), 0, CHUNKS)
    return Turn((baton.cpu() - before) * 1e3, seen.total * 1e3)
