"""Everything the memory backend keeps, in one object that its ports share."""

from collections import Counter
from dataclasses import dataclass, field

from app.core.ids import Birth, Incarnation, RunId, TenantId, UserId
from app.core.keys import SessionKey
from app.stores.base import Checkpoint, RunEntry, Value
from app.stores.embedded.tables import Remembered
from app.stores.head import Head


@dataclass(slots=True, kw_only=True)
class StoredSession:
    """A session: records and checkpoints are kept as bytes, so that nothing stored is ever shared with a caller."""

    head: Head
    bodies: list[bytes] = field(default_factory=list[bytes])
    checkpoints: list[Checkpoint] = field(default_factory=list[Checkpoint])
    requests: dict[str, Remembered] = field(default_factory=dict[str, Remembered])
    runs: set[RunId] = field(default_factory=set[RunId])
    blobs: set[str] = field(default_factory=set[str])


@dataclass(slots=True, kw_only=True)
class StoredBlob:
    """Bytes, and when they were last put, or let go of by a session."""

    data: bytes
    touched_at: float


@dataclass(slots=True, kw_only=True)
class Presence:
    """What became of an incarnation: it beats until it is buried, and is not listed once it is forgotten."""

    count: int = 0
    beat_at: float = 0.0
    buried: bool = False
    forgotten: bool = False


@dataclass(slots=True, kw_only=True)
class Contents:
    """The tables. `ready` and `owned` hold what the heads say, by tenant and by owner; empty sets are dropped."""

    sessions: dict[SessionKey, StoredSession] = field(default_factory=dict[SessionKey, StoredSession])
    users: dict[tuple[TenantId, UserId], set[SessionKey]] = field(
        default_factory=dict[tuple[TenantId, UserId], set[SessionKey]]
    )
    ready: dict[TenantId, set[SessionKey]] = field(default_factory=dict[TenantId, set[SessionKey]])
    owned: dict[Incarnation, set[SessionKey]] = field(default_factory=dict[Incarnation, set[SessionKey]])
    runs: dict[tuple[TenantId, RunId], RunEntry] = field(default_factory=dict[tuple[TenantId, RunId], RunEntry])
    tombstones: dict[tuple[str, Birth], float] = field(default_factory=dict[tuple[str, Birth], float])
    blobs: dict[tuple[TenantId, str], StoredBlob] = field(default_factory=dict[tuple[TenantId, str], StoredBlob])
    names: Counter[tuple[TenantId, str]] = field(default_factory=Counter[tuple[TenantId, str]])
    """How many sessions name a blob."""
    values: dict[TenantId, dict[str, Value]] = field(default_factory=dict[TenantId, dict[str, Value]])
    version: int = 0
    """The newest version of any value."""
    replicas: dict[Incarnation, Presence] = field(default_factory=dict[Incarnation, Presence])
