"""A row that somebody else holds, so that a call waits for as long as the test wants."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

from tests.support.services.postgres import PostgresDatabase

TENANT, KEY = "t", b"held"
DEADLINE = 20.0
WAITING = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Held:
    """The row, and who waits for it."""

    def __init__(self, watch: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._watch = watch

    async def waiting(self, number: int) -> None:
        """Returns once that many calls wait in the database."""
        async with asyncio.timeout(DEADLINE):
            while await self._watch.fetchval(f"SELECT count(*) FROM {WAITING}") != number:
                await asyncio.sleep(0.005)

    async def cut(self) -> None:
        """Every connection of a call that waits is gone."""
        await self._watch.execute(f"SELECT pg_terminate_backend(pid) FROM {WAITING}")


@asynccontextmanager
async def held(place: PostgresDatabase) -> AsyncGenerator[Held, None]:
    """While the body runs, who writes `KEY` of `TENANT` waits."""
    holder = await asyncpg.connect(place.superuser_url)
    watch = await asyncpg.connect(place.superuser_url)
    try:
        await holder.execute("INSERT INTO baton.keyvalue VALUES ($1, $2, 0, '') ON CONFLICT DO NOTHING", TENANT, KEY)
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM baton.keyvalue WHERE tenant = $1 AND key = $2 FOR UPDATE", TENANT, KEY)
            yield Held(watch)
    finally:
        holder.terminate()
        watch.terminate()
