"""The shared store of small values, in Postgres. A key is stored as its UTF-8 bytes: any text may be one."""

from app.core.errors import HeadMoved
from app.core.ids import TenantId
from app.stores.base import Value
from app.stores.postgres.database import Database
from app.stores.postgres.text import stored

BIGGEST_VERSION = 2**63 - 1


class PostgresKeyValue:
    """Values by tenant and key, with versions from one sequence that never restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: TenantId, key: str) -> Value | None:
        row = await self._database.row("get_value_v1", stored(tenant), key.encode())
        return Value(row["version"], row["data"]) if row is not None else None

    async def put(self, tenant: TenantId, key: str, data: bytes) -> int:
        (row,) = await self._database.call("put_value_v1", stored(tenant), key.encode(), data)
        return row["version"]

    async def put_if_version(self, tenant: TenantId, key: str, data: bytes, version: int) -> int:
        wanted = version if 0 <= version <= BIGGEST_VERSION else -1  # no value is at -1
        (row,) = await self._database.call("put_value_if_version_v1", stored(tenant), key.encode(), data, wanted)
        if row["stored"] is None:
            raise HeadMoved(f"{key!r} is at version {row['present'] or 0}, not at {version}")
        return row["stored"]

    async def delete(self, tenant: TenantId, key: str) -> bool:
        (row,) = await self._database.call("delete_value_v1", stored(tenant), key.encode())
        return row["deleted"]

    async def search(self, tenant: TenantId, prefix: str, cursor: str, limit: int) -> tuple[tuple[str, int], ...]:
        rows = await self._database.call("search_values_v1", stored(tenant), prefix.encode(), cursor.encode(), limit)
        return tuple((row["key"].decode(), row["version"]) for row in rows)
