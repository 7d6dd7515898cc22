"""The shared store of small values, in Redis.

A tenant's values lie under one hash tag: the values with their versions before them, the versions alone, and the keys
in the order of their bytes, which is that of their code points. A search reads only the last two.
"""

from app.core.errors import HeadMoved
from app.core.ids import TenantId
from app.stores.base import Value
from app.stores.redis.connection import Connection
from app.stores.redis.names import values


class RedisKeyValue:
    """Values by tenant and key, with versions from one counter per tenant that never restarts."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection

    async def get(self, tenant: TenantId, key: str) -> Value | None:
        stored = await self._redis.command("HGET", values(tenant, "data"), key)
        if stored is None:
            return None
        version, _, data = stored.partition(b" ")
        return Value(int(version), data)

    async def put(self, tenant: TenantId, key: str, data: bytes) -> int:
        _, version = await self._put(tenant, key, data, "")
        return version

    async def put_if_version(self, tenant: TenantId, key: str, data: bytes, version: int) -> int:
        stored, found = await self._put(tenant, key, data, str(version))
        if not stored:
            raise HeadMoved(f"{key!r} is at version {found}, not at {version}")
        return found

    async def _put(self, tenant: TenantId, key: str, data: bytes, expected: str) -> tuple[int, int]:
        names = [values(tenant, part) for part in ("data", "versions", "keys", "version")]
        stored, version = await self._redis.run("value_put", names, (key, data, expected))
        return stored, version

    async def delete(self, tenant: TenantId, key: str) -> bool:
        names = [values(tenant, part) for part in ("data", "versions", "keys")]
        return bool(await self._redis.run("value_delete", names, (key,)))

    async def search(self, tenant: TenantId, prefix: str, cursor: str, limit: int) -> tuple[tuple[str, int], ...]:
        names = [values(tenant, part) for part in ("versions", "keys")]
        rows = await self._redis.run("value_search", names, (*_bounds(prefix, cursor), limit))
        return tuple((key.decode(), int(version)) for key, version in zip(rows[::2], rows[1::2], strict=True))


def _bounds(prefix: str, cursor: str) -> tuple[bytes, bytes]:
    """Gives the first and the last that ZRANGE BYLEX may give. No key has the byte FF, so it follows every key."""
    first = b"(" + cursor.encode() if cursor >= prefix else b"[" + prefix.encode()
    return first, b"(" + prefix.encode() + b"\xff"
