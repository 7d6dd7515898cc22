"""Large bytes by content, in SQLite."""

import asyncio

from app.core.clock import Clock
from app.core.errors import BlobNotFound
from app.core.ids import TenantId
from app.core.messages import BlobRef
from app.stores.base import BLOB_GRACE_SECONDS
from app.stores.embedded.blobs import checked
from app.stores.sqlite.database import Database


class SqliteBlobs:
    """Bytes by tenant and SHA-256; the table `blob_names` says which sessions name them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, tenant: TenantId, data: bytes, media_type: str) -> BlobRef:
        ref = await asyncio.to_thread(checked, data, media_type)
        row = (tenant, ref.sha256, self._clock.now().timestamp(), data)
        await self._database.write(lambda queries: queries.run("put_blob", row))
        return ref

    async def get(self, tenant: TenantId, sha256: str) -> bytes:
        row = await self._database.read(lambda queries: queries.row("get_blob", (tenant, sha256)))
        if row is None:
            raise BlobNotFound(f"there is no blob {sha256}")
        return row[0]

    async def collect(self, limit: int) -> int:
        oldest = self._clock.now().timestamp() - BLOB_GRACE_SECONDS
        return await self._database.write(lambda queries: queries.run("delete_unnamed_blobs", (oldest, limit)))
