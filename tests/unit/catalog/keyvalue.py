"""A shared store of values in a dictionary, whose replies can fail."""

from app.core.errors import HeadMoved, StoreUnavailable
from app.core.ids import TenantId
from app.stores.base import Value


class Values:
    """Keeps what it is given; while `down`, every call fails."""

    def __init__(self) -> None:
        self.data: dict[tuple[TenantId, str], Value] = {}
        self.reads = 0
        self.down = False

    async def get(self, tenant: TenantId, key: str) -> Value | None:
        self.reads += 1
        return self.data.get((tenant, key))

    async def put(self, tenant: TenantId, key: str, data: bytes) -> int:
        version = self._version(tenant, key) + 1
        self.data[tenant, key] = Value(version, data)
        return version

    async def put_if_version(self, tenant: TenantId, key: str, data: bytes, version: int) -> int:
        if self._version(tenant, key) != version:
            raise HeadMoved("another version is there")
        return await self.put(tenant, key, data)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        return self.data.pop((tenant, key), None) is not None

    async def search(self, tenant: TenantId, prefix: str, cursor: str, limit: int) -> tuple[tuple[str, int], ...]:
        keys = sorted(key for owner, key in self.data if owner == tenant and key.startswith(prefix) and key > cursor)
        return tuple((key, self.data[tenant, key].version) for key in keys[:limit])

    def _version(self, tenant: TenantId, key: str) -> int:
        if self.down:
            raise StoreUnavailable("down")
        value = self.data.get((tenant, key))
        return value.version if value else 0
