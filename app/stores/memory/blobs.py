"""Large bytes by content, in memory."""

from itertools import islice

from app.core.clock import Clock
from app.core.errors import BlobNotFound
from app.core.ids import TenantId
from app.core.messages import BlobRef
from app.stores.base import BLOB_GRACE_SECONDS
from app.stores.embedded.blobs import checked
from app.stores.memory.contents import Contents, StoredBlob


class MemoryBlobs:
    """Bytes by tenant and SHA-256; the sessions count who names them."""

    def __init__(self, contents: Contents, clock: Clock) -> None:
        self._all = contents
        self._clock = clock

    async def put(self, tenant: TenantId, data: bytes, media_type: str) -> BlobRef:
        ref = checked(data, media_type)
        now = self._clock.now().timestamp()
        blob = self._all.blobs.setdefault((tenant, ref.sha256), StoredBlob(data=bytes(data), touched_at=now))
        blob.touched_at = now
        return ref

    async def get(self, tenant: TenantId, sha256: str) -> bytes:
        blob = self._all.blobs.get((tenant, sha256))
        if blob is None:
            raise BlobNotFound(f"there is no blob {sha256}")
        return blob.data

    async def collect(self, limit: int) -> int:
        oldest = self._clock.now().timestamp() - BLOB_GRACE_SECONDS
        stale = (name for name, blob in self._all.blobs.items() if blob.touched_at <= oldest)
        chosen = tuple(islice((name for name in stale if not self._all.names[name]), limit))
        for name in chosen:
            del self._all.blobs[name]
        return len(chosen)
