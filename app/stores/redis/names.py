"""The names of what Baton keeps in Redis besides sessions, whose names are in layout.py.

What one script touches shares a hash tag, so that it lies on one node of a cluster: the replicas, the values of a
tenant, and a blob with those who name it, by the first byte of its hash. Components are percent-encoded, so that no two
names collide and none brings a brace of its own.
"""

from typing import Literal
from urllib.parse import quote

from app.core.ids import TenantId
from app.core.keys import SessionKey

BLOB_PARTITIONS = tuple(f"{number:02x}" for number in range(256))
"""The first byte of a blob's SHA-256, in hex."""


def replicas(part: Literal["live", "buried", "forgotten"]) -> str:
    """Names one table of the replicas."""
    return f"baton:{{replicas}}:{part}"


def values(tenant: TenantId, part: Literal["data", "versions", "keys", "version"]) -> str:
    """Names one part of a tenant's values."""
    return f"baton:{{values/{_quoted(tenant)}}}:{part}"


def blob(tenant: TenantId, sha256: str, part: Literal["data", "names"]) -> str:
    """Names a blob's bytes, or the hash of the sessions that name it."""
    return f"baton:{{b{sha256[:2]}}}:{part}:{_quoted(tenant)}:{sha256}"


def blob_ages(partition: str) -> str:
    """Names the sorted set of a partition's blobs by when each was last touched."""
    return f"baton:{{b{partition}}}:ages"


def session_blobs(key: SessionKey) -> str:
    """Names the set of the SHA-256 (hex) of every blob that the session's log names; it lies with the session."""
    return f"baton:{{{key.partition()}}}:session:{key.encode()}:blobs"


def _quoted(component: str) -> str:
    return quote(component, safe="")
