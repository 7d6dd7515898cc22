"""How often a plain turn goes to the store: every transaction from the request's arrival to the stream's end."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from yarl import URL

from app.bootstrap import open_server
from app.main import create_app
from app.settings import load
from app.stores.sqlite.database import Database
from tests.bench.load import Target, ask
from tests.bench.mutated import mutation
from tests.bench.processes import ROOT
from tests.bench.servers import Laboratory
from tests.bench.table import Row
from tests.support.http import serving

TARGET = 2
TURNS = 5


class Counter:
    """Counts transactions."""

    def __init__(self) -> None:
        self.count = 0

    def counting(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Gives the method, counted."""

        async def counted(*arguments: Any) -> Any:
            self.count += 1
            return await method(*arguments)

        return counted


@contextmanager
def transactions() -> Generator[Counter, None, None]:
    """Counts every transaction of SQLite databases while the body runs."""
    counter = Counter()
    writing, reading = counter.counting(Database.write), counter.counting(Database.read)
    with patch.object(Database, "write", writing), patch.object(Database, "read", reading):
        yield counter


async def measure(lab: Laboratory, where: Path) -> list[Row]:
    """Gives the transactions of a turn: the median of a few, for the polls every 2 s are not a turn's."""
    settings = load(
        OPENAI_BASE_URL=lab.url,
        OPENAI_API_KEY="bench",
        BATON_DATA_DIR=where / "counted",
        BATON_AGENTS_DIR=ROOT / "agents",
    )
    counts: list[int] = []
    with mutation(lab.mutation), transactions() as counter:
        async with open_server(settings) as server, serving(create_app(server, settings)) as base:
            for _ in range(TURNS):
                before = counter.count
                await ask(Target(URL(base).port or 0), 0, 10)
                counts.append(counter.count - before)
    return [Row(what="store round trips of a plain turn", value=median(counts), unit="", target=TARGET)]
