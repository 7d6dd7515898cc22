"""`make bench`: what Baton costs, against a floor in the same run. Exits with 1 if a target is missed.

* `python -m tests.bench`: all of it, in less than 5 minutes
* `python -m tests.bench --quick`: less of it, in less than 1 minute
* `python -m tests.bench --only streaming growth`: these parts
* `python -m tests.bench --mutate busy_chunk`: Baton made worse, to see the bench fail
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from tests.bench import environment, footprint, growth, roundtrips, streaming
from tests.bench.mutated import MUTATIONS
from tests.bench.processes import LOAD_CORE, has_two_cores, on_core
from tests.bench.servers import Laboratory, laboratory
from tests.bench.table import Row, missed, shown

PARTS = ("streaming", "roundtrips", "growth", "memory", "start", "environment")


class Size(Struct, frozen=True):
    """How much is measured."""

    streaming: streaming.Plan
    window: int
    streams: int
    starts: int
    turns: int = 1000


FULL = Size(streaming.Plan(rounds=7, paces=(20, 10, 0)), window=32, streams=500, starts=5)
QUICK = Size(streaming.Plan(rounds=3, firsts=40), window=12, streams=300, starts=2)


async def measure(lab: Laboratory, where: Path, size: Size, parts: tuple[str, ...]) -> AsyncGenerator[list[Row], None]:
    """Yields the rows of each part."""
    if "streaming" in parts:
        yield await streaming.measure(lab, size.streaming)
    if "roundtrips" in parts:
        yield await roundtrips.measure(lab, where)
    if "growth" in parts:
        yield await growth.measure(lab, size.turns, size.window)
    if "memory" in parts:
        yield await footprint.measure_streams(lab, size.streams)
    if "start" in parts:
        yield await footprint.measure_start(lab, size.starts)
    if "environment" in parts:
        yield environment.measure()


async def bench(size: Size, parts: tuple[str, ...], mutation: str | None) -> list[Row]:
    """Gives every row."""
    with ExitStack() as stack:
        where = Path(stack.enter_context(TemporaryDirectory(prefix="bench")))
        lab = stack.enter_context(laboratory(where, mutation))
        stack.enter_context(on_core(LOAD_CORE))
        return [row async for rows in measure(lab, where, size, parts) for row in rows]


def main(argv: list[str] | None = None) -> int:
    """Prints the table; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for CI")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="only these parts")
    parser.add_argument("--mutate", choices=sorted(MUTATIONS), help="make Baton worse, to see the bench fail")
    asked = parser.parse_args(argv)
    if not has_two_cores():
        print("# one core only: the load shares it with the servers, so wall times say little")
    rows = asyncio.run(bench(QUICK if asked.quick else FULL, tuple(asked.only), asked.mutate))
    print(shown(rows))
    misses = missed(rows)
    print(f"\nmissed: {', '.join(misses)}" if misses else "\nevery target is met")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
