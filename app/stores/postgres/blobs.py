"""Large bytes by content, in Postgres."""

import asyncio

from app.core.errors import BlobNotFound
from app.core.ids import TenantId
from app.core.messages import BlobRef
from app.stores.base import BLOB_GRACE_SECONDS
from app.stores.embedded.blobs import checked
from app.stores.postgres.database import Database, Now
from app.stores.postgres.text import stored

LOOKS = 512
"""How many blobs one call looks at; a named one that was looked at is left alone for as long as the grace."""


class PostgresBlobs:
    """Bytes by tenant and SHA-256; the table `blob_names` says which sessions name them."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database = database
        self._now = now

    async def put(self, tenant: TenantId, data: bytes, media_type: str) -> BlobRef:
        ref = await asyncio.to_thread(checked, data, media_type)
        await self._database.call("put_blob_v1", stored(tenant), ref.sha256, data, self._now())
        return ref

    async def get(self, tenant: TenantId, sha256: str) -> bytes:
        row = await self._database.row("get_blob_v1", stored(tenant), sha256)
        if row is None:
            raise BlobNotFound(f"there is no blob {sha256}")
        return row["data"]

    async def collect(self, limit: int) -> int:
        gone, looked = 0, LOOKS
        while looked == LOOKS and gone < limit:
            args = (BLOB_GRACE_SECONDS, LOOKS, limit - gone, self._now())
            (row,) = await self._database.call("collect_blobs_v1", *args)
            looked, gone = row["looked"], gone + row["collected"]
        return gone
