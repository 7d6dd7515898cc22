"""What must be true of the store, kept apart from it: every reply is entered here, and every reply is judged by it.

The facts of one log are frozen, so a copy of the ledger is a copy of one dict, and a store that loses its last writes
is followed by putting the copy back.
"""

from typing import NamedTuple

from msgspec import Struct

from app.core.errors import ClaimLost, LogRegressed, StaleClaim
from app.core.ids import Birth, Incarnation, Nonce, RunId
from app.core.keys import SessionKey
from app.core.records import (
    ApprovalResolved,
    Entry,
    InputSteered,
    InputWithdrawn,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStarted,
    RunSuspended,
    run_of,
)
from app.stores.base import Committed
from app.stores.head import Claim, Status, Submission


class Shape(NamedTuple):
    """What a log says about its runs; read from the records alone, apart from the protocol's own bookkeeping."""

    active: RunId | None = None
    cancelling: bool = False
    suspended: bool = False
    queue: tuple[RunId, ...] = ()
    attention: int = 0


def shape_of(entries: tuple[Entry, ...]) -> Shape:
    """Reads a log's shape."""
    shape = Shape()
    for entry in entries:
        shape = _after(shape, entry)
    return shape


def _after(shape: Shape, entry: Entry) -> Shape:
    match entry.record:
        case RunQueued(run_id=run):
            return shape._replace(queue=(*shape.queue, run))
        case InputWithdrawn(run_id=run):
            return shape._replace(queue=tuple(other for other in shape.queue if other != run))
        case RunStarted(run_id=run):
            queue = tuple(other for other in shape.queue if other != run)
            return shape._replace(active=run, cancelling=False, suspended=False, queue=queue)
        case record if shape.active is not None and run_of(record) == shape.active:
            return _after_ours(shape, entry)
        case _:
            return shape


def _after_ours(shape: Shape, entry: Entry) -> Shape:
    """Gives the shape after a record of the active run."""
    match entry.record:
        case RunFinished():
            return shape._replace(active=None, cancelling=False, suspended=False)
        case RunSuspended():
            return shape._replace(suspended=True)
        case RunResumed():
            return shape._replace(suspended=False)
        case RunCancelRequested():
            return shape._replace(cancelling=True, suspended=False, attention=entry.seq)
        case InputSteered() | ApprovalResolved():
            return shape._replace(suspended=False, attention=entry.seq)
        case _:
            return shape


class Given(Struct, frozen=True):
    """A claim in force, and whose it is."""

    claim: Claim
    owner: Incarnation
    tick: int
    """When it was given, in the world's time."""


class Answered(Struct, frozen=True):
    """The newest commit that was accepted, and what it was answered."""

    claim: Claim
    number: int
    reply: Committed
    tick: int


class Facts(Struct, frozen=True, kw_only=True):
    """One log, from its birth to its deletion."""

    birth: Birth
    entries: tuple[Entry, ...] = ()
    given: Given | None = None
    commits: int = 0
    claims: tuple[Claim, ...] = ()
    """Every claim that was ever given, in order."""
    answered: Answered | None = None
    inputs: tuple[Submission, ...] = ()
    """Every input that was accepted."""

    @property
    def seq(self) -> int:
        return len(self.entries)

    @property
    def shape(self) -> Shape:
        return shape_of(self.entries)

    @property
    def status(self) -> Status:
        """Says what a head must say."""
        shape = self.shape
        if self.given is not None:
            return "owned"
        if shape.active is not None and shape.suspended:
            return "suspended"
        return "ready" if shape.active is not None or shape.queue else "idle"

    def known(self, submission: Submission) -> Submission | None:
        """Gives the accepted input that this one repeats, by its idempotency key or else by its run id."""
        for earlier in self.inputs:
            if earlier.idempotency_key is not None and earlier.idempotency_key == submission.idempotency_key:
                return earlier
        return next((earlier for earlier in self.inputs if earlier.run_id == submission.run_id), None)


Verdict = type[ClaimLost] | str
"""What must become of a commit: an error, or `repeat`, `unseen`, `accepted`."""


class Ledger:
    """All logs that exist, and the births of those that were deleted."""

    def __init__(self) -> None:
        self.logs: dict[SessionKey, Facts] = {}
        self.tombstones: set[tuple[SessionKey, Birth]] = set()

    def judge(self, key: SessionKey, claim: Claim, number: int, seen: int, release: bool) -> Verdict:
        """Says what must become of a commit."""
        facts = self.logs.get(key)
        if facts is None:
            return StaleClaim
        last = facts.answered
        if last is not None and (last.claim, last.number) == (claim, number):
            return "repeat"
        if facts.given is None or facts.given.claim != claim or number <= facts.commits:
            return StaleClaim
        if number > facts.commits + 1 or seen > facts.seq:
            return LogRegressed
        return "unseen" if release and facts.shape.attention > seen else "accepted"

    def may_take(self, key: SessionKey, taker: Incarnation, held: frozenset[Nonce]) -> bool:
        """Says whether `take` may give that session to the taker."""
        facts = self.logs[key]
        if facts.status == "ready":
            return True
        given = facts.given
        return given is not None and given.owner == taker and given.claim.nonce not in held

    def owned_by(self, incarnation: Incarnation) -> list[SessionKey]:
        """Gives the sessions that the incarnation owns."""
        found = self.logs.items()
        return [key for key, facts in found if facts.given is not None and facts.given.owner == incarnation]
