"""What every blob store checks and computes before it stores anything."""

from hashlib import sha256

from app.core.errors import LimitReached
from app.core.messages import BlobRef
from app.stores.base import MAX_BLOB_BYTES


def checked(data: bytes, media_type: str) -> BlobRef:
    """Gives the reference to those bytes. Raises LimitReached beyond MAX_BLOB_BYTES."""
    if len(data) > MAX_BLOB_BYTES:
        raise LimitReached(f"a blob of {len(data)} bytes exceeds {MAX_BLOB_BYTES}")
    return BlobRef(sha256=sha256(data).hexdigest(), size=len(data), media_type=media_type)
