"""Sessions in SQLite: each call is one transaction of the database's threads."""

from collections.abc import Callable
from math import inf
from typing import TypeVar

from app.core.ids import AgentId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.stores.embedded.tables import Tables
from app.stores.fairness import Waiting
from app.stores.sqlite.database import Database
from app.stores.sqlite.queries import Queries
from app.stores.sqlite.tables import SqliteTables, load_head

T = TypeVar("T")

NEWEST = (inf, SessionId(""))
"""A place before all sessions."""


class SqliteTransactions:
    """Runs the embedded stores' transactions in SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, work: Callable[[Tables], T]) -> T:
        return await self._database.write(lambda queries: work(SqliteTables(queries)))

    async def read(self, work: Callable[[Tables], T]) -> T:
        return await self._database.read(lambda queries: work(SqliteTables(queries)))

    async def list(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Waiting, ...]:
        created_at, session = before or NEWEST
        arguments = {
            "tenant": tenant,
            "user": user,
            "agent": agent,
            "created_at": created_at,
            "session": session,
            "limit": limit,
        }

        def find(queries: Queries) -> tuple[Waiting, ...]:
            rows = queries.rows("list_sessions", arguments)
            return tuple((SessionKey(*row[:4]), load_head(row[4])) for row in rows)

        return await self._database.read(find)
