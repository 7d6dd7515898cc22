"""The shared store of small values, in SQLite: a value's version is its row's number, which is never used twice."""

from itertools import takewhile

from app.core.errors import HeadMoved
from app.core.ids import TenantId
from app.stores.base import Value
from app.stores.sqlite.database import Database
from app.stores.sqlite.queries import Queries


class SqliteKeyValue:
    """Values by tenant and key. Keys are compared by their UTF-8 bytes, which is the order of their code points."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: TenantId, key: str) -> Value | None:
        row = await self._database.read(lambda queries: queries.row("get_value", (tenant, key)))
        return Value(*row) if row is not None else None

    async def put(self, tenant: TenantId, key: str, data: bytes) -> int:
        return await self._database.write(lambda queries: _put(queries, tenant, key, data))

    async def put_if_version(self, tenant: TenantId, key: str, data: bytes, version: int) -> int:
        def compare_and_put(queries: Queries) -> int:
            row = queries.row("get_version", (tenant, key))
            found = row[0] if row is not None else 0
            if found != version:
                raise HeadMoved(f"{key!r} is at version {found}, not at {version}")
            return _put(queries, tenant, key, data)

        return await self._database.write(compare_and_put)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        return await self._database.write(lambda queries: queries.run("delete_value", (tenant, key)) > 0)

    async def search(self, tenant: TenantId, prefix: str, cursor: str, limit: int) -> tuple[tuple[str, int], ...]:
        def find(queries: Queries) -> tuple[tuple[str, int], ...]:
            rows = queries.rows("search_keys", (tenant, cursor, prefix, limit))
            return tuple(takewhile(lambda found: found[0].startswith(prefix), ((row[0], row[1]) for row in rows)))

        return await self._database.read(find)


def _put(queries: Queries, tenant: TenantId, key: str, data: bytes) -> int:
    row = queries.row("put_value", (tenant, key, data))
    return row[0] if row is not None else 0
