"""What a server takes before it has done anything, and for each stream that is open."""

import asyncio
from collections.abc import Sequence
from statistics import median

from tests.bench.load import ask, follow, holding, stalling
from tests.bench.servers import Laboratory, target_of
from tests.bench.table import Row

START_TARGET = 1.2
IDLE_TARGET_MIB = 100
STREAM_TARGET_KIB = 50
WARM = 100


async def measure_start(lab: Laboratory, starts: int) -> list[Row]:
    """Gives the CPU seconds until the server listens, and the memory that it has then."""
    cpu: list[float] = []
    rss: list[float] = []
    for number in range(starts + 1):
        with lab.baton() as baton:
            if number:  # the first one compiles what has changed
                cpu.append(baton.cpu())
            await asyncio.sleep(0.5)
            rss.append(baton.rss() / 2**20)
    lab.note(f"cold start, s of CPU: {_raw(cpu)}; idle memory, MiB: {_raw(rss)}")
    return [
        Row(what="cold start to ready, CPU", value=median(cpu), unit="s", target=START_TARGET),
        Row(what="idle memory", value=median(rss), unit="MiB", target=IDLE_TARGET_MIB),
    ]


async def measure_streams(lab: Laboratory, streams: int) -> list[Row]:
    """Gives the memory per open stream: of a follower alone, and with a run of its own whose model fell silent."""
    with lab.baton(slots=streams + 1) as baton:
        target = target_of(baton)
        for _ in range(WARM):
            await ask(target, 0, 100)
        idle = baton.rss()
        async with holding(baton.port, [stalling(target)] * streams) as asked:
            await asyncio.sleep(0.5)
            busy = baton.rss()
            async with holding(baton.port, [follow(baton.port, stream.run) for stream in asked]):
                await asyncio.sleep(0.5)
                followed = baton.rss()
    sizes = [size / 2**20 for size in (idle, busy, followed)]
    lab.note(f"memory idle, with {streams} runs, with a follower of each, MiB: {_raw(sizes)}")
    follower, run = ((after - before) / streams / 2**10 for before, after in ((busy, followed), (idle, busy)))
    return [
        Row(what=f"memory per open stream, {streams} followers", value=follower, unit="KiB", target=STREAM_TARGET_KIB),
        Row(what=f"memory per open stream and its run, {streams} of each", value=run, unit="KiB"),
    ]


def _raw(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.2f}" for number in numbers)
