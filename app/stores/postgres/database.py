"""A bounded pool of connections, over which a named statement is one round trip.

A connection keeps no state of its own between two calls: each call is one statement, and so one transaction. Nothing
has to be reset when it goes back to the pool, and a transaction pooler may stand between.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from asyncpg import Connection, Pool, Record
from asyncpg.pool import PoolConnectionProxy

from app.core.errors import StoreBusy, StoreUnavailable
from app.stores.postgres.faults import FOREIGN, UNDONE, refusal, translate

COMMAND_SECONDS = 5.0
"""How long a call may take; then it is cancelled, also in the database."""
CONNECT_SECONDS = 5.0
RELEASE_SECONDS = 1.0
"""How long a cancelled call may take to end; then its connection is cut."""
CLOSE_SECONDS = 2.0
CACHED_STATEMENTS = 200

Now: TypeAlias = Callable[[], float | None]
"""The store's time in seconds since the epoch; None, as always in production, for its own clock's."""
Leased: TypeAlias = "PoolConnectionProxy[Record]"


@cache
def statements() -> Mapping[str, str]:
    """Gives every statement of this package's `.sql` files, by the name in the comment `-- name: …` above it."""
    found: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob("*.sql")):
        for section in file.read_text(encoding="utf-8").split("-- name: ")[1:]:
            name, _, statement = section.partition("\n")
            found[name.strip()] = statement.strip()
    return found


class Database:
    """Runs the statements of this package's `.sql` files, each as a transaction of its own."""

    def __init__(self, pool: "Pool[Record]", wait: float) -> None:
        self._pool = pool
        self._wait = wait
        self._statements = statements()

    @property
    def size(self) -> int:
        """Gives how many connections there may be."""
        return self._pool.get_max_size()

    @property
    def in_use(self) -> int:
        """Gives how many are at work."""
        return self._pool.get_size() - self._pool.get_idle_size()

    async def call(self, function: str, *arguments: Any) -> list[Record]:
        """Gives the statement's rows, once what it wrote is committed; if it raises, see the error for what is known.

        StoreUnavailable leaves open whether it took effect. What the database undid by itself because two transactions
        were in each other's way is tried once more.
        """
        statement = self._statements[function]
        connection = await self._acquire()
        try:
            return await _fetch(connection, statement, arguments)
        except FOREIGN as error:
            raise translate(error) from error
        finally:
            await self._release(connection)

    async def row(self, function: str, *arguments: Any) -> Record | None:
        """Gives the statement's only row, or None; otherwise as `call`."""
        rows = await self.call(function, *arguments)
        return rows[0] if rows else None

    async def _acquire(self) -> Leased:
        try:
            return await self._pool.acquire(timeout=self._wait)
        except TimeoutError as error:
            raise self._lack() from error
        except FOREIGN as error:
            raise translate(error) from error

    def _lack(self) -> StoreUnavailable:
        if self._pool.get_size() < self.size:
            return StoreUnavailable(f"Postgres did not accept a connection within {self._wait:g} s")
        fix = f"raise BATON_STORE_POOL ({self.size}) or BATON_STORE_WAIT"
        return StoreBusy(f"no free connection to Postgres after {self._wait:g} s; {fix}")

    async def _release(self, connection: Leased) -> None:
        """The connection is free again, or, if it cannot be used any more, cut: that is no failure of the call."""
        with suppress(*FOREIGN):
            await self._pool.release(connection, timeout=RELEASE_SECONDS)


async def _fetch(connection: Leased, statement: str, arguments: Sequence[Any]) -> list[Record]:
    try:
        return await connection.fetch(statement, *arguments)
    except UNDONE:
        return await connection.fetch(statement, *arguments)


@asynccontextmanager
async def open_database(
    url: str, *, pool: int = 16, wait: float = 5.0, pooled: bool = False, variable: str = "BATON_STORE_URL"
) -> AsyncGenerator[Database, None]:
    """Gives the database; its connections are opened when they are needed. `pooled`: through a transaction pooler.

    Raises ConfigError, naming that variable, if the address cannot be right, StoreUnavailable if nobody answers.
    """
    try:
        opened = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=pool,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            statement_cache_size=0 if pooled else CACHED_STATEMENTS,
            reset=_keep,
        )
    except (*FOREIGN, ValueError) as error:
        raise refusal(error, variable) or translate(error) from None
    try:
        yield Database(opened, wait)
    finally:
        await _close(opened)


async def _keep(_: "Connection[Record]") -> None:
    """The connection goes back as it is: no call left anything in it."""


async def _close(pool: "Pool[Record]") -> None:
    """The connections are closed; those that cannot be in time are cut."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except FOREIGN:
        pool.terminate()
