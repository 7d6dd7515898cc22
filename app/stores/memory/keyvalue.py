"""The shared store of small values, in memory."""

from itertools import islice

from app.core.errors import HeadMoved
from app.core.ids import TenantId
from app.stores.base import Value
from app.stores.memory.contents import Contents


class MemoryKeyValue:
    """Values by tenant and key, with versions from one counter that never restarts."""

    def __init__(self, contents: Contents) -> None:
        self._all = contents

    async def get(self, tenant: TenantId, key: str) -> Value | None:
        return self._all.values.get(tenant, {}).get(key)

    async def put(self, tenant: TenantId, key: str, data: bytes) -> int:
        self._all.version += 1
        self._all.values.setdefault(tenant, {})[key] = Value(self._all.version, bytes(data))
        return self._all.version

    async def put_if_version(self, tenant: TenantId, key: str, data: bytes, version: int) -> int:
        current = await self.get(tenant, key)
        found = current.version if current is not None else 0
        if found != version:
            raise HeadMoved(f"{key!r} is at version {found}, not at {version}")
        return await self.put(tenant, key, data)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        return self._all.values.get(tenant, {}).pop(key, None) is not None

    async def search(self, tenant: TenantId, prefix: str, cursor: str, limit: int) -> tuple[tuple[str, int], ...]:
        values = self._all.values.get(tenant, {})
        keys = sorted(key for key in values if key.startswith(prefix) and key > cursor)
        return tuple((key, values[key].version) for key in islice(keys, limit))
