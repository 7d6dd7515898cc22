"""How many short streams a second a server carries, when each client asks again as soon as it is answered."""

import asyncio
from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from tests.bench.load import Target, ask
from tests.bench.processes import Process
from tests.bench.servers import Laboratory, target_of
from tests.bench.table import Row

CHUNKS = 20


class Plan(Struct, frozen=True, kw_only=True):
    """How much is measured."""

    rounds: int = 3
    seconds: float = 0.5
    clients: Sequence[int] = (50, 100)


class Rate(Struct, frozen=True):
    """One round: streams a second, and the server's CPU for each, in milliseconds."""

    streams: float
    cpu: float


async def measure(lab: Laboratory, plan: Plan) -> list[Row]:
    """Gives the rates of Baton and of the floor, which take turns."""
    with lab.floor() as floor, lab.baton(slots=max(plan.clients) + 1) as baton:
        for process in (floor, baton):
            await _round(process, max(plan.clients), plan.seconds / 2)
        return [await _row(lab, floor, baton, clients, plan) for clients in plan.clients]


async def _row(lab: Laboratory, floor: Process, baton: Process, clients: int, plan: Plan) -> Row:
    rates: dict[str, list[Rate]] = {"floor": [], "Baton": []}
    for _ in range(plan.rounds):
        rates["floor"].append(await _round(floor, clients, plan.seconds))
        rates["Baton"].append(await _round(baton, clients, plan.seconds))
    shown = "; ".join(f"{name} {_raw(found)}" for name, found in rates.items())
    lab.note(f"{clients} clients, streams a second (and ms of the server's CPU for each): {shown}")
    bare, value = (median(rate.streams for rate in found) for found in rates.values())
    what = f"streams per second, {clients} at once, {CHUNKS} chunks each"
    return Row(what=what, value=value, floor=bare, unit="/s", how="ratio")


async def _round(process: Process, clients: int, seconds: float) -> Rate:
    now, target = asyncio.get_running_loop().time, target_of(process)
    began, before = now(), process.cpu()
    counts = await asyncio.gather(*(_client(target, began + seconds) for _ in range(clients)))
    return Rate(sum(counts) / (now() - began), (process.cpu() - before) / sum(counts) * 1e3)


async def _client(target: Target, until: float) -> int:
    """Gives how many streams came to their end, each asked when the one before had."""
    now, count = asyncio.get_running_loop().time, 0
    while now() < until:
        await ask(target, 0, CHUNKS)
        count += 1
    return count


def _raw(rates: Sequence[Rate]) -> str:
    return " ".join(f"{rate.streams:.0f} ({rate.cpu:.2f})" for rate in rates)
