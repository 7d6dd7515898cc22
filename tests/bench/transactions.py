"""The round trips of an embedded store, which has no wire: every transaction that reaches SQLite."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import getclosurevars
from time import monotonic
from typing import Any
from unittest.mock import patch

from yarl import URL

from app.bootstrap import open_server
from app.main import create_app
from app.settings import load
from app.stores.sqlite.database import Database
from tests.bench.mutated import mutation
from tests.bench.servers import Laboratory
from tests.bench.trips import Trip
from tests.support.http import serving


class Ledger:
    """Remembers transactions."""

    def __init__(self) -> None:
        self.trips: list[Trip] = []

    def noting(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Gives the method, noted."""

        async def noted(database: Database, work: Callable[..., Any]) -> Any:
            self.trips.append(Trip(monotonic(), _name(work), is_heartbeat=False))
            return await method(database, work)

        return noted


def _name(work: Callable[..., Any]) -> str:
    """Gives the method that wants the transaction: the one that made the work, or what the work is wrapped around."""
    inner = getclosurevars(work).nonlocals.get("work", work)
    return inner.__qualname__.partition(".<locals>")[0]


@asynccontextmanager
async def counted(lab: Laboratory) -> AsyncGenerator[tuple[Ledger, int], None]:
    """Gives the ledger and the port of a Baton in this process."""
    settings, ledger = load(**lab.variables()), Ledger()
    writing, reading = ledger.noting(Database.write), ledger.noting(Database.read)
    with mutation(lab.mutation), patch.object(Database, "write", writing), patch.object(Database, "read", reading):
        async with open_server(settings) as server, serving(create_app(server, settings)) as base:
            yield ledger, URL(base).port or 0
