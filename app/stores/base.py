"""The ports of durable truth. Each backend implements them; one contract suite and one state machine prove it.

Every method either happens wholly or not at all. What "not found" gives is said per method; a store that cannot be
reached raises StoreUnavailable, one that cannot be read StoreCorrupt, and neither ever yields an empty answer instead.
"""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from app.core.encoding import UNREADABLE
from app.core.errors import StoreCorrupt
from app.core.fold import fold
from app.core.ids import AgentId, Birth, Incarnation, Nonce, RunId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.core.messages import BlobRef
from app.core.records import AnyRecord, Entry, RunStarted
from app.core.state import AgentState, decode_state
from app.stores.head import Claim, Claimant, Head, Status, Submission

CHECKPOINTS_KEPT = 2
IDEMPOTENCY_SECONDS = 24 * 3600.0
IDEMPOTENCY_KEPT = 256
"""Idempotency keys remembered per session; beyond it the oldest is forgotten."""
BLOB_GRACE_SECONDS = 24 * 3600.0
MAX_BLOB_BYTES = 32 * 1024 * 1024


class Checkpoint(Struct, frozen=True):
    """The state at `seq`, encoded; only fold `version` may read it."""

    seq: int
    version: int
    body: bytes


class Log(Struct, frozen=True):
    """A session as read at one moment: its head, and entries of its log."""

    head: Head
    entries: tuple[Entry, ...]
    checkpoint: Checkpoint | None = None

    def until(self, claim: Claim) -> "Log":
        """Gives the log as it was when that claim started its run: what came later is told by the claim's commits."""
        starts = (e.seq for e in self.entries if isinstance(e.record, RunStarted) and e.record.epoch == claim.epoch)
        seq = next(starts, self.head.seq)
        return Log(replace(self.head, seq=seq), tuple(e for e in self.entries if e.seq <= seq), self.checkpoint)

    def state(self) -> AgentState:
        """Folds checkpoint and tail. Raises StoreCorrupt if they do not add up to the head: never a fresh state."""
        try:
            base = decode_state(self.checkpoint.body) if self.checkpoint else AgentState()
        except UNREADABLE as error:
            raise StoreCorrupt(f"a checkpoint cannot be read: {error}") from error
        state = fold(base, self.entries)
        expected = range(base.seq + 1, self.head.seq + 1)
        if state.seq != self.head.seq or [entry.seq for entry in self.entries if entry.seq > base.seq] != list(
            expected
        ):
            raise StoreCorrupt(f"the log has gaps: {len(self.entries)} entries for {expected}")
        return state


class Claimed(Struct, frozen=True):
    """The caller owns the session now. `seq`: of the run's first record. `log` is enough to fold the state."""

    run_id: RunId
    seq: int
    claim: Claim
    log: Log


class Queued(Struct, frozen=True):
    """The run waits. `ready`: nobody owns the session, so a wake-up helps."""

    run_id: RunId
    seq: int
    birth: Birth
    ready: bool


class Joined(Struct, frozen=True):
    """The input joined the active run `run_id`, at `seq`. `ready`: it woke the run, which nobody owns."""

    run_id: RunId
    seq: int
    birth: Birth
    ready: bool = False


class Attached(Struct, frozen=True):
    """The same request was accepted before, as `run_id`; nothing was written."""

    run_id: RunId
    seq: int
    birth: Birth


Submitted = Claimed | Queued | Joined | Attached


class Release(Struct, frozen=True):
    """The runner lets go. With an `heir`, a queued run is claimed for it at once; else it is marked ready."""

    heir: Claimant | None = None


class Committed(Struct, frozen=True):
    """What a commit did. `unseen`: others' records after `seen`. `written`: its own, with a handed-over run's start.

    Both are in the log's order, and every unseen seq is below every written one. `handed`: the claim on the next run.
    """

    seq: int
    status: Status
    unseen: tuple[Entry, ...]
    written: tuple[Entry, ...]
    handed: Claim | None = None


class Taken(Struct, frozen=True):
    """A ready session, now the caller's. `orphaned`: its last owner died, or lost track of it."""

    key: SessionKey
    claim: Claim
    orphaned: bool
    log: Log


class Position(Struct, frozen=True):
    """A place in one particular log."""

    birth: Birth
    seq: int


class Summary(Struct, frozen=True):
    """A session in a list: what the head knows. Times are seconds since the epoch."""

    key: SessionKey
    birth: Birth
    seq: int
    title: str
    status: Status
    created_at: float
    updated_at: float


class Sessions(Protocol):
    """Every session's log, head and checkpoints."""

    async def submit(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitted:
        """The input is in the log, once, however often this is called with its run id or idempotency key.

        Creates the session if it is absent. Claims it when it is idle, a claimant is given and nothing older of another
        tenant is ready; a repeat by the claimant that got the claim gets it again. Raises SessionBusy, QueueFull,
        IdempotencyMismatch, and then writes nothing.
        """
        ...

    async def commit(
        self,
        key: SessionKey,
        claim: Claim,
        commit_id: int,
        seen: int,
        records: Sequence[AnyRecord],
        release: Release | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Committed:
        """The records are in the log under that claim. The newest commit repeated gets its first answer again.

        `commit_id` counts 1, 2, 3, … per claim. The checkpoint is kept if nothing came between `seen` and the records.
        Raises StaleClaim (also when the session is absent), LogRegressed and Unseen, and then writes nothing; a commit
        that raised Unseen did not use up its number.
        """
        ...

    async def append(self, key: SessionKey, expected: Position, records: Sequence[AnyRecord]) -> tuple[Entry, ...]:
        """The records follow `expected`, written by somebody who owns nothing (cancel, rename).

        `expected.seq == 0` creates the session with that birth; a repeated creation of that birth changes nothing.
        Raises HeadMoved if the log is elsewhere, SessionExists for a second creation, SessionNotFound.
        """
        ...

    async def take(self, claimant: Claimant, slots: int, held: Collection[Nonce]) -> tuple[Taken, ...]:
        """Up to `slots` ready sessions belong to the claimant: fewest running of their tenant first, then the oldest.

        Includes sessions of the claimant's own incarnation whose nonce is not in `held` (a lost reply, a lost runner).
        Each is claimed under a nonce of its own, `<the claimant's>-0`, `-1`, ….
        """
        ...

    async def sweep(self, dead: Incarnation, limit: int) -> int:
        """Up to `limit` sessions of a tombstoned incarnation are ready, their claims void; gives how many."""
        ...

    async def read(self, key: SessionKey, after: int | None = None, limit: int = 256) -> Log:
        """Gives up to `limit` entries after a seq; for `after=None` the newest usable checkpoint and the whole tail.

        Raises SessionNotFound.
        """
        ...

    async def list(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Summary, ...]:
        """Gives a user's sessions, newest first, by heads; `before` is the (created_at, session) of the last."""
        ...

    async def delete(self, key: SessionKey) -> None:
        """Nothing of the session is left but a tombstone. Raises SessionNotFound."""
        ...


RunStage = Literal["queued", "active", "completed", "cancelled", "failed", "limited", "joined"]


class RunEntry(Struct, frozen=True):
    """A run in the index: where it begins and ends in its log. `joined`: the run that took a steered input."""

    run_id: RunId
    key: SessionKey
    birth: Birth
    first: int
    last: int | None
    stage: RunStage
    joined: RunId | None = None


class Runs(Protocol):
    """Finds runs by their id; written by the same transactions as the logs."""

    async def find(self, tenant: TenantId, run_id: RunId) -> RunEntry | None:
        """Gives the run, or None if the tenant has none of that id."""
        ...


class Heads(Protocol):
    """Reads many heads at once: what a replica does every 2 s for the sessions it follows or owns."""

    async def peek(self, keys: Collection[SessionKey]) -> dict[SessionKey, Head]:
        """Gives the heads that exist, in one round trip."""
        ...


class Beat(Struct, frozen=True):
    """An incarnation's newest heartbeat; `count` tells two beats apart."""

    incarnation: Incarnation
    count: int
    age: float
    """Seconds since, by the store's clock."""


class Replicas(Protocol):
    """Who is alive: one heartbeat per replica, judged by the store's clock."""

    async def beat(self, incarnation: Incarnation) -> None:
        """The incarnation is alive now. Raises ReplicaDead once it was buried: it never lives again."""
        ...

    async def live(self) -> tuple[Beat, ...]:
        """Gives every incarnation that is not buried, the longest silent first."""
        ...

    async def bury(self, beat: Beat) -> bool:
        """The incarnation is tombstoned, if that is still its newest beat; True also if it was buried before."""
        ...

    async def buried(self) -> tuple[Incarnation, ...]:
        """Gives the tombstones, so that a half-done sweep is finished by anyone."""
        ...

    async def forget(self, incarnation: Incarnation) -> None:
        """The incarnation left in good order, or is buried and swept: it is not listed any more, nor may it beat."""
        ...


class Value(Struct, frozen=True):
    """Bytes under a key, with the version that a compare-and-set names."""

    version: int
    data: bytes


class KeyValue(Protocol):
    """The harness's shared store: small values by tenant and key. Versions rise for ever, also across a delete."""

    async def get(self, tenant: TenantId, key: str) -> Value | None:
        """Gives the value, or None."""
        ...

    async def put(self, tenant: TenantId, key: str, data: bytes) -> int:
        """The value is stored; gives its version."""
        ...

    async def put_if_version(self, tenant: TenantId, key: str, data: bytes, version: int) -> int:
        """The value is stored if the key was at `version` (0: absent). Gives the new version; raises HeadMoved."""
        ...

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """The key is absent; gives whether it was there."""
        ...

    async def search(self, tenant: TenantId, prefix: str, cursor: str, limit: int) -> tuple[tuple[str, int], ...]:
        """Gives keys with their versions, in order, that begin with `prefix` and follow `cursor`; reads no value."""
        ...


class Blobs(Protocol):
    """Large bytes by content. Sessions count the references as they write and delete logs."""

    async def put(self, tenant: TenantId, data: bytes, media_type: str) -> BlobRef:
        """The bytes are stored once. Raises LimitReached beyond MAX_BLOB_BYTES."""
        ...

    async def get(self, tenant: TenantId, sha256: str) -> bytes:
        """Gives the bytes; raises BlobNotFound."""
        ...

    async def collect(self, limit: int) -> int:
        """Up to `limit` blobs that no log has named for 24 h are gone; gives how many."""
        ...
