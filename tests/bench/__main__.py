"""`make bench`: what Baton costs over each store, against floors in the same run. Exits with 1 if a target is missed.

* `python -m tests.bench`: all of it over SQLite, Redis and Postgres, in less than 6 minutes
* `python -m tests.bench --quick`: less of it, in less than 2.5 minutes
* `python -m tests.bench --store postgres+redis`: over these stores
* `python -m tests.bench --only streaming growth`: these parts
* `python -m tests.bench --mutate busy_chunk`: Baton made worse, to see the bench fail
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from tests.bench import bare, environment, footprint, gaps, growth, rates, roundtrips, streaming
from tests.bench.backings import ABSENT, STORES, USUAL, Backing, backing
from tests.bench.mutated import MUTATIONS
from tests.bench.processes import LOAD_CORE, has_two_cores, on_core
from tests.bench.servers import Laboratory, laboratory
from tests.bench.sizes import FULL, QUICK, Size
from tests.bench.table import Row, missed, shown

PARTS = ("streaming", "rates", "gaps", "roundtrips", "bare", "growth", "memory", "start", "environment")


async def measure(lab: Laboratory, size: Size, parts: Sequence[str]) -> list[Row]:
    """Gives the rows of the parts that depend on the store. One that fails is a target that is missed."""
    measures: dict[str, Callable[[], Awaitable[list[Row]]]] = {
        "streaming": lambda: streaming.measure(lab, size.streaming),
        "rates": lambda: rates.measure(lab, size.rates),
        "gaps": lambda: gaps.measure(lab, size.crowds),
        "roundtrips": lambda: roundtrips.measure(lab, size.counted),
        "bare": lambda: bare.measure(lab, size.calls),
        "growth": lambda: growth.measure(lab, size.turns, size.window),
        "memory": lambda: footprint.measure_streams(lab, size.streams),
        "start": lambda: footprint.measure_start(lab, size.starts),
    }
    rows: list[Row] = []
    for part in (part for part in measures if part in parts):
        try:
            rows += await measures[part]()
        except (RuntimeError, OSError) as error:  # the other parts are worth having
            lab.note(f"{part} failed: {error!r}")
            rows.append(Row(what=f"{part} could be measured", value=nan, unit="", target=0))
    return rows


def over(found: Backing, size: Size, parts: Sequence[str], mutation: str | None) -> list[Row]:
    """Gives every row of one store."""
    with (
        TemporaryDirectory(prefix="bench") as where,
        laboratory(Path(where), mutation, found) as lab,
        on_core(LOAD_CORE),
    ):
        return uvloop.run(measure(lab, size, parts))


def bench(stores: Sequence[str], size: Size, parts: Sequence[str], mutation: str | None) -> tuple[list[str], list[str]]:
    """Prints a table for each store; gives the targets that are missed, and the stores that could not be had."""
    misses: list[str] = []
    absent: list[str] = []
    for store in stores if set(parts) - {"environment"} else ():
        with ExitStack() as stack:
            try:
                found = stack.enter_context(backing(store))
            except ABSENT as reason:
                absent.append(store)
                print(f"# {store} is left out: {reason}", flush=True)
                continue
            misses += _print(store, over(found, size, parts, mutation))
    if "environment" in parts:
        misses += _print("every store", environment.measure())
    return misses, absent


def _print(title: str, rows: list[Row]) -> list[str]:
    print(f"\n## {title}\n\n{shown(rows)}\n", flush=True)
    return [f"{what} ({title})" for what in missed(rows)]


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; gives the exit code."""
    asked = _arguments(argv)
    if not has_two_cores():
        print("# one core only: the load shares it with the servers, so wall times say little")
    misses, absent = bench(asked.store, QUICK if asked.quick else FULL, asked.only, asked.mutate)
    print(f"missed: {', '.join(misses)}" if misses else "every target is met")
    if absent:
        print(f"not measured: {', '.join(absent)}")
    is_required = os.environ.get("BATON_TEST_REQUIRE") == "all" or len(absent) == len(asked.store)
    return 1 if misses or (absent and is_required) else 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--store", nargs="+", choices=STORES, default=USUAL, help="over these stores")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for CI")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="only these parts")
    parser.add_argument("--mutate", choices=sorted(MUTATIONS), help="make Baton worse, to see the bench fail")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
