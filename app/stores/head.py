"""The claim protocol: every decision a store takes about a session, as pure functions of its head.

A session is one log and one **head**. The head knows just enough to decide, without reading the log, who may write: the
claim in force, the active run, the queue. Each function below takes a head and a request and gives the head afterwards
with the records to append; a store's only duty is to do that atomically. Two rules carry everything:

* A runner's write carries its claim `(epoch, nonce)`; both must equal the head's. A takeover changes both, so whoever
  was paused, cut off or declared dead can write nothing. The nonce also differs when a store that lost its last writes
  hands out the same epoch again.
* A claim's commits are numbered 1, 2, 3, …. The number just taken again is a repeat (its reply was lost) and gets its
  first answer; a number that skips ahead means the store forgot commits that it had acknowledged.

Redis and Postgres say the same in Lua and SQL; the contract suite and the state machine hold them to this file.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from app.core.encoding import number
from app.core.errors import LogRegressed, QueueFull, SessionBusy, StaleClaim
from app.core.ids import AgentId, Birth, Incarnation, Nonce, RunId
from app.core.messages import Part
from app.core.records import (
    READER,
    AnyRecord,
    ApprovalResolved,
    Busy,
    Entry,
    InputSteered,
    InputWithdrawn,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStarted,
    RunSuspended,
    SessionCreated,
    StatePatched,
)

MAX_QUEUE = 32
"""Runs that may wait in one session."""
MAX_STEERED = 256
"""Inputs that may join one run."""


class Claim(Struct, frozen=True):
    """A session's fencing token."""

    epoch: int
    nonce: Nonce


class Claimant(Struct, frozen=True, kw_only=True):
    """The owner to be: a replica with a free slot. `nonce` is fresh; `digests` names the agents it can run."""

    incarnation: Incarnation
    nonce: Nonce
    digests: Mapping[AgentId, str]
    reader: int = READER
    """What the replica can read; sessions that ask for more are left to newer ones."""

    def can_run(self, head: "Head", agent: AgentId) -> bool:
        """Says whether this replica could go on with that session."""
        return self.reader >= head.min_reader and (head.active is not None or agent in self.digests)


class Submission(Struct, frozen=True, kw_only=True):
    """An input on its way in. `birth` and `title` are used if the session does not exist yet."""

    run_id: RunId
    input: tuple[Part, ...]
    birth: Birth
    policy: Busy = Busy.ENQUEUE
    metadata: dict[str, str] = {}
    title: str = ""
    idempotency_key: str | None = None
    fingerprint: str = ""
    """Of the whole request: the same idempotency key with another fingerprint is a mistake of the caller's."""


Status = Literal["idle", "ready", "owned", "suspended"]


class LastCommit(Struct, frozen=True):
    """What the newest commit was answered, so that its repeat gets the same."""

    claim: Claim
    number: int
    first: int
    last: int
    status: Status
    handed: Claim | None


class Head(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a store knows of a session without reading its log. Times are seconds since the epoch."""

    birth: Birth
    created_at: float
    updated_at: float
    seq: int = 0
    title: str = ""
    min_reader: int = 1
    epoch: int = 0
    nonce: Nonce = Nonce("")
    owner: Incarnation | None = None
    orphaned: bool = False
    """The last owner died with it: the next one takes over, it is not handed over."""
    commits: int = 0
    """How many commits the claim in force has made."""
    active: RunId | None = None
    cancelling: bool = False
    suspended: bool = False
    steered: int = 0
    queue: tuple[RunId, ...] = ()
    attention: int = 0
    """The seq of the newest record that the owner must have seen before it may release, or finish the run."""
    ready_at: float | None = None
    last: LastCommit | None = None

    @property
    def status(self) -> Status:
        """Says what the session waits for: an input, an owner, its owner, or something outside."""
        if self.owner is not None:
            return "owned"
        if self.active is not None and self.suspended:
            return "suspended"
        return "ready" if self.active is not None or self.queue else "idle"

    @property
    def claim(self) -> Claim:
        """Gives the claim in force; meaningless without an owner."""
        return Claim(self.epoch, self.nonce)


class Change(Struct, frozen=True):
    """What a store must write, all or nothing: the head, and the entries after the old one's seq."""

    head: Head
    entries: tuple[Entry, ...] = ()


def create(birth: Birth, now: float) -> Head:
    """Gives the head of a log that has no records yet."""
    return Head(birth=birth, created_at=now, updated_at=now)


def admit(
    head: Head, submission: Submission, agent: AgentId, claimant: Claimant | None, *, at: datetime, contended: bool
) -> Change:
    """Takes an input in by its policy, and claims the session if it is idle and nobody else is before it.

    Raises SessionBusy (policy `reject`) and QueueFull. The caller has made sure that the run id is new.
    """
    run, busy = submission.run_id, head.status != "idle"
    blocker = head.active or (head.queue[0] if head.queue else run)
    if busy and submission.policy is Busy.REJECT:
        raise SessionBusy(blocker)
    steerable = head.active is not None and not head.cancelling
    if steerable and submission.policy is Busy.STEER:
        return _steer(head, submission, blocker, at)
    if len(head.queue) >= MAX_QUEUE:
        raise QueueFull(f"{MAX_QUEUE} runs wait in this session already; try again when one has finished")
    records: list[AnyRecord] = []
    if head.seq == 0:
        records.append(SessionCreated(at=at, title=submission.title))
    if steerable and submission.policy is Busy.INTERRUPT:
        records.append(RunCancelRequested(at=at, run_id=blocker, reason=f"interrupted by {run}"))
    records.append(
        RunQueued(at=at, run_id=run, input=submission.input, policy=submission.policy, metadata=submission.metadata)
    )
    change = append(head, records, at)
    if busy or contended or claimant is None or not claimant.can_run(change.head, agent):
        return change
    return adopt(change.head, agent, claimant, at=at, before=change.entries)


def _steer(head: Head, submission: Submission, active: RunId, at: datetime) -> Change:
    if head.steered >= MAX_STEERED:
        raise QueueFull(f"{MAX_STEERED} inputs joined this run already; wait for it to finish")
    record = InputSteered(at=at, run_id=active, input_id=submission.run_id, input=submission.input)
    return append(head, [record], at)


def commit(
    head: Head,
    claim: Claim,
    commit_id: int,
    seen: int,
    records: Sequence[AnyRecord],
    release: bool,
    agent: AgentId,
    heir: Claimant | None,
    *,
    at: datetime,
) -> Change | None:
    """Appends a runner's records; with `release`, lets go of the session, or hands it to the next queued run's heir.

    None: a release or an end came before the records up to `head.attention` were seen; nothing may be written. Raises
    StaleClaim and LogRegressed. A repeat is recognised before this is called (`is_repeat`).
    """
    if head.owner is None or claim != head.claim or commit_id <= head.commits:
        raise StaleClaim(f"epoch {claim.epoch} does not own this session; epoch {head.epoch} is in force")
    if commit_id > head.commits + 1 or seen > head.seq:
        raise LogRegressed(f"commit {commit_id} after seq {seen}, but the log has {head.commits} and {head.seq}")
    ends = release or any(isinstance(record, RunFinished) for record in records)
    if ends and head.attention > seen:
        return None
    change = append(head, records, at)
    after = replace(change.head, commits=commit_id)
    if release:
        after = _let_go(after, at)
        change = Change(after, change.entries)
        if heir is not None and after.active is None and after.queue and heir.can_run(after, agent):
            change = adopt(after, agent, heir, at=at, before=change.entries)
            after = change.head
    handed = after.claim if release and after.owner is not None else None
    last = LastCommit(claim, commit_id, head.seq + 1, after.seq, after.status, handed)
    return Change(replace(after, last=last), change.entries)


def is_repeat(head: Head, claim: Claim, commit_id: int) -> LastCommit | None:
    """Gives the newest commit's answer, if this is that commit again."""
    last = head.last
    return last if last is not None and (last.claim, last.number) == (claim, commit_id) else None


def append(head: Head, records: Sequence[AnyRecord], at: datetime) -> Change:
    """Gives the log's growth by those records, whoever writes them."""
    entries = number(records, head.seq)
    after = head
    for entry in entries:
        needed = max(after.min_reader, entry.record.reader)
        after = replace(_advance(after, entry), seq=entry.seq, min_reader=needed)
    return Change(_mark_ready(replace(after, updated_at=at.timestamp()), at), entries)


def adopt(head: Head, agent: AgentId, claimant: Claimant, *, at: datetime, before: tuple[Entry, ...] = ()) -> Change:
    """Gives the session to the claimant: a new epoch, its nonce, and the first queued run started if none is active."""
    owned = replace(
        head,
        epoch=head.epoch + 1,
        nonce=claimant.nonce,
        owner=claimant.incarnation,
        orphaned=False,
        commits=0,
        ready_at=None,
    )
    if owned.active is not None:
        return Change(owned, before)
    start = RunStarted(at=at, run_id=owned.queue[0], agent_digest=claimant.digests[agent], epoch=owned.epoch)
    change = append(owned, [start], at)
    return Change(change.head, before + change.entries)


def is_adoptable(head: Head, agent: AgentId, claimant: Claimant, held: frozenset[Nonce]) -> bool:
    """Says whether `take` may give the session to the claimant.

    It may if it is ready, or if it belongs to the claimant's own incarnation under a nonce that it does not hold: the
    reply that handed it over was lost, or its runner gave up.
    """
    if not claimant.can_run(head, agent) or (head.active is None and not head.queue):
        return False
    return head.status == "ready" or (head.owner == claimant.incarnation and head.nonce not in held)


def orphan(head: Head, at: datetime) -> Head:
    """Takes the session from an owner that was declared dead: its claim is void, and the session is ready."""
    return replace(_let_go(head, at), epoch=head.epoch + 1, orphaned=True)


def _let_go(head: Head, at: datetime) -> Head:
    return _mark_ready(replace(head, owner=None, nonce=Nonce(""), commits=0), at)


def _mark_ready(head: Head, at: datetime) -> Head:
    if head.status != "ready":
        return head if head.ready_at is None else replace(head, ready_at=None)
    return head if head.ready_at is not None else replace(head, ready_at=at.timestamp())


def _advance(head: Head, entry: Entry) -> Head:
    """Gives what a record changes in the head."""
    match entry.record:
        case SessionCreated(title=title):
            return replace(head, title=title)
        case StatePatched(title=str(title)):
            return replace(head, title=title)
        case RunQueued(run_id=run):
            return replace(head, queue=(*head.queue, run))
        case RunStarted(run_id=run):
            return replace(_turn_to(head, run), queue=_without(head.queue, run))
        case InputWithdrawn(run_id=run):
            return replace(head, queue=_without(head.queue, run))
        case _:
            return _advance_run(head, entry)


def _advance_run(head: Head, entry: Entry) -> Head:
    """Gives what a record of the active run changes in the head."""
    if head.active is None or getattr(entry.record, "run_id", None) != head.active:
        return head
    match entry.record:
        case RunFinished():
            return _turn_to(head, None)
        case RunSuspended():
            return replace(head, suspended=True)
        case RunResumed():
            return replace(head, suspended=False)
        case RunCancelRequested():
            return replace(head, cancelling=True, suspended=False, attention=entry.seq)
        case InputSteered():
            return replace(head, steered=head.steered + 1, suspended=False, attention=entry.seq)
        case ApprovalResolved():
            return replace(head, suspended=False, attention=entry.seq)
        case _:
            return head


def _turn_to(head: Head, run: RunId | None) -> Head:
    return replace(head, active=run, cancelling=False, suspended=False, steered=0)


def _without(queue: tuple[RunId, ...], run: RunId) -> tuple[RunId, ...]:
    return tuple(other for other in queue if other != run)
