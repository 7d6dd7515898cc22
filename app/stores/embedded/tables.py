"""What an embedded store must be able to keep and find, so that the rest of `Sessions` is written once for all of them.

Memory and SQLite each run one transaction at a time, inside this process. Their session store is therefore ordinary
code over these small synchronous ports; Redis and Postgres, whose transactions run elsewhere, do not use them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, TypeVar

from msgspec import Struct

from app.core.ids import AgentId, Birth, Incarnation, Nonce, RunId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.core.records import Entry
from app.stores.base import Checkpoint, RunEntry
from app.stores.fairness import Waiting
from app.stores.head import Change, Head

T = TypeVar("T")


class Remembered(Struct, frozen=True):
    """An idempotency key's first use: what it asked for, and the seq and the time at which it was accepted."""

    run_id: RunId
    fingerprint: str
    seq: int
    at: float


class LogTables(Protocol):
    """Heads, entries and checkpoints."""

    def head(self, key: SessionKey) -> Head | None:
        """Gives the head, or None if there is no such session."""
        ...

    def entries(self, key: SessionKey, after: int, limit: int) -> tuple[Entry, ...]:
        """Gives up to `limit` entries after that seq. Raises StoreCorrupt for one that cannot be read."""
        ...

    def checkpoint(self, key: SessionKey, version: int) -> Checkpoint | None:
        """Gives the newest checkpoint of that fold version."""
        ...

    def write(self, key: SessionKey, change: Change) -> None:
        """The change is stored, with what the entries mean for the run index and for the blobs they name."""
        ...

    def keep(self, key: SessionKey, checkpoint: Checkpoint) -> None:
        """The checkpoint is stored, and all but the newest CHECKPOINTS_KEPT are gone."""
        ...

    def erase(self, key: SessionKey, birth: Birth, at: float) -> None:
        """The session and all that belongs to it are gone; a tombstone is left, and its blobs count from `at`."""
        ...

    def erased(self, key: SessionKey, birth: Birth) -> bool:
        """Says whether a tombstone of that key and birth exists."""
        ...


class RequestTables(Protocol):
    """What recognises a request that came before."""

    def run(self, tenant: TenantId, run_id: RunId) -> RunEntry | None:
        """Gives the run of that id in the tenant."""
        ...

    def remembered(self, key: SessionKey, idempotency_key: str) -> Remembered | None:
        """Gives what the session's idempotency key was used for, however long ago."""
        ...

    def remember(self, key: SessionKey, idempotency_key: str, use: Remembered) -> None:
        """The use is stored, and all but the newest IDEMPOTENCY_KEPT of the session are gone."""
        ...


class WaitingTables(Protocol):
    """Who waits, and who runs."""

    def contended(self, tenant: TenantId) -> bool:
        """Says whether a session of another tenant is ready."""
        ...

    def ready(self) -> Iterable[Iterable[Waiting]]:
        """Gives the ready sessions: one queue per tenant, oldest first, read only as far as it is used."""
        ...

    def running(self) -> Mapping[TenantId, int]:
        """Gives how many sessions of each tenant have an owner."""
        ...

    def owned(self, incarnation: Incarnation, held: Collection[Nonce] = ()) -> Iterable[Waiting]:
        """Gives the sessions that the incarnation owns under other nonces than those."""
        ...


class Tables(LogTables, RequestTables, WaitingTables, Protocol):
    """One transaction's view of everything."""


class Transactions(Protocol):
    """Where the transactions run."""

    async def write(self, work: Callable[[Tables], T]) -> T:
        """Everything the work wrote is durable, or, if it raised, nothing is."""
        ...

    async def read(self, work: Callable[[Tables], T]) -> T:
        """Gives the work's result; it saw one moment."""
        ...

    async def list(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Waiting, ...]:
        """Gives the heads of a user's sessions, newest first, that follow `before`."""
        ...
