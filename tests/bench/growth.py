"""Whether a session gets slower as it gets longer: the turns around its 1,000th against first turns."""

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


async def measure(lab: Laboratory, turns: int, window: int) -> list[Row]:
    """Gives the CPU and the wall time of the last `window` turns of a long session, against as many first turns."""
    with lab.baton() as baton:
        for number in range(window):
            await _turn(baton, f"warm{number}")
        for _ in range(turns - window):
            await _turn(baton, "long")
        late: list[Turn] = []
        early: list[Turn] = []
        for number in range(window):
            early.append(await _turn(baton, f"fresh{number}"))
            late.append(await _turn(baton, "long"))
    what = f"turn {turns:,} against turn 1"
    long, first = (sum(turn.cpu for turn in found) / window for found in (late, early))
    return [
        Row(what=f"{what}, CPU (mean)", value=long, floor=first, unit="ms", how="ratio", target=TARGET),
        Row(
            what=f"{what}, wall (median)",
            value=median(turn.wall for turn in late),
            floor=median(turn.wall for turn in early),
            unit="ms",
            how="ratio",
            target=TARGET,
        ),
    ]


async def _turn(baton: Process, session: str) -> Turn:
    before = baton.cpu()
    seen = await ask(target_of(baton, session), 0, CHUNKS)
    return Turn((baton.cpu() - before) * 1e3, seen.total * 1e3)
