"""Small mistakes in the protocol, each under a name. The state machine must notice every one of them.

They are made where the embedded stores look: in `app.stores.head`, which decides, and where its functions were imported
by name. One mistake is not here, because it is none: a sweep that leaves the epoch as it is changes no log, as long as
it voids owner and nonce and the next claim raises the epoch.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from app.core.records import AnyRecord, Entry, InputSteered, RunCancelRequested
from app.stores import head as protocol
from app.stores.embedded import claims, logs, submission
from app.stores.embedded.sessions import EmbeddedSessions
from app.stores.head import Change, Claim, Claimant, Head, Submission

Patch = pytest.MonkeyPatch
MUTATIONS: dict[str, Callable[[Patch], None]] = {}


def mutation(make: Callable[[Patch], None]) -> Callable[[Patch], None]:
    """Names a mutation after its function."""
    MUTATIONS[make.__name__] = make
    return make


@contextmanager
def mutated(name: str) -> Generator[None]:
    """The protocol makes that mistake, inside."""
    with pytest.MonkeyPatch.context() as patch:
        MUTATIONS[name](patch)
        yield


def with_head(patch: Patch, function: str, change: Callable[[Head, dict[str, Any]], Head]) -> None:
    """Lets a function of the protocol see another head than the one it was given."""
    true = getattr(protocol, function)

    def mutant(head: Head, *args: Any, **kwargs: Any) -> Any:
        return true(change(head, {"args": args, **kwargs}), *args, **kwargs)

    patch.setattr(protocol, function, mutant)


@mutation
def drop_the_fence(patch: Patch) -> None:
    """A commit is accepted whoever makes it, in whatever order."""

    def forge(head: Head, given: dict[str, Any]) -> Head:
        claim, number = given["args"][:2]
        owner = head.owner or protocol.Incarnation("anybody")
        return replace(head, owner=owner, epoch=claim.epoch, nonce=claim.nonce, commits=number - 1)

    with_head(patch, "commit", forge)


@mutation
def ignore_the_nonce(patch: Patch) -> None:
    """A claim is its epoch."""

    def forge(head: Head, given: dict[str, Any]) -> Head:
        claim: Claim = given["args"][0]
        return replace(head, nonce=claim.nonce) if head.epoch == claim.epoch else head

    with_head(patch, "commit", forge)


@mutation
def sweep_only_marks_ready(patch: Patch) -> None:
    """The claim of the dead counts until another one is given."""

    def forge(head: Head, given: dict[str, Any]) -> Head:
        return replace(head, owner=head.owner or protocol.Incarnation("anybody"))

    patch.setattr(protocol, "orphan", lambda head, at: protocol._mark_ready(replace(head, owner=None), at))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with_head(patch, "commit", forge)


@mutation
def ignore_attention(patch: Patch) -> None:
    """A release is accepted whatever its runner has not seen."""
    with_head(patch, "commit", lambda head, given: replace(head, attention=0))


@mutation
def steer_wants_no_attention(patch: Patch) -> None:
    """A steered input does not hold up a release."""
    without_attention(patch, InputSteered)


@mutation
def cancel_wants_no_attention(patch: Patch) -> None:
    """A cancel does not hold up a release."""
    without_attention(patch, RunCancelRequested)


def without_attention(patch: Patch, kind: type[AnyRecord]) -> None:
    true = protocol._advance

    def mutant(head: Head, entry: Entry) -> Head:
        after = true(head, entry)
        return replace(after, attention=head.attention) if isinstance(entry.record, kind) else after

    patch.setattr(protocol, "_advance", mutant)


@mutation
def repeat_a_commit(patch: Patch) -> None:
    """No repeat is recognised, and a number that was taken is taken again."""
    patch.setattr(protocol, "is_repeat", lambda head, claim, number: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with_head(patch, "commit", lambda head, given: replace(head, commits=min(head.commits, given["args"][1] - 1)))


@mutation
def refuse_a_repeat(patch: Patch) -> None:
    """A commit whose reply was lost is stale when it comes again."""
    patch.setattr(protocol, "is_repeat", lambda head, claim, number: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


@mutation
def skip_a_number(patch: Patch) -> None:
    """A number that skips ahead is accepted, although the store must have lost commits."""
    with_head(patch, "commit", lambda head, given: replace(head, commits=max(head.commits, given["args"][1] - 1)))


@mutation
def adopt_keeps_the_epoch(patch: Patch) -> None:
    """A new claim differs from the old one by its nonce only."""
    true = protocol.adopt

    def mutant(head: Head, *args: Any, **kwargs: Any) -> Change:
        return true(replace(head, epoch=max(0, head.epoch - 1)), *args, **kwargs)

    patch.setattr(protocol, "adopt", mutant)


@mutation
def sweep_keeps_the_claim(patch: Patch) -> None:
    """A dead replica's session is left to it."""
    patch.setattr(protocol, "orphan", lambda head, at: head)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


@mutation
def take_from_the_living(patch: Patch) -> None:
    """A replica is given the sessions again that it holds."""
    true = claims.take

    def mutant(tables: Any, claimant: Claimant, slots: int, held: Any, version: int, at: datetime) -> Any:
        return true(tables, claimant, slots, (), version, at)

    patch.setattr(claims, "take", mutant)


@mutation
def drop_the_queue_at_release(patch: Patch) -> None:
    """Who lets go forgets who waits."""
    true = protocol._let_go
    patch.setattr(protocol, "_let_go", lambda head, at: true(replace(head, queue=()), at))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


@mutation
def wake_nobody(patch: Patch) -> None:
    """A record for a suspended run does not make its session ready."""
    true = protocol._advance

    def mutant(head: Head, entry: Entry) -> Head:
        after = true(head, entry)
        return replace(after, suspended=True) if head.suspended and after.active == head.active else after

    patch.setattr(protocol, "_advance", mutant)


@mutation
def join_a_cancelled_run(patch: Patch) -> None:
    """An input is steered into a run that is being cancelled."""
    true = protocol.admit

    def mutant(head: Head, sent: Submission, *args: Any, **kwargs: Any) -> Change:
        change = true(replace(head, cancelling=False), sent, *args, **kwargs)
        return Change(replace(change.head, cancelling=head.cancelling), change.entries)

    patch.setattr(submission, "admit", mutant)


@mutation
def claim_what_is_busy(patch: Patch) -> None:
    """An input claims its session although somebody else is at work in it."""
    true = protocol.admit

    def mutant(head: Head, sent: Submission, agent: Any, claimant: Claimant | None, **rest: Any) -> Change:
        change = true(head, sent, agent, claimant, **rest)
        if claimant is None or change.head.epoch > head.epoch:
            return change
        return protocol.adopt(change.head, agent, claimant, at=rest["at"], before=change.entries)

    patch.setattr(submission, "admit", mutant)


@mutation
def overwrite_the_head(patch: Patch) -> None:
    """An outside append does not compare the head it expects."""

    def mutant(tables: Any, key: Any, expected: Any, records: Sequence[AnyRecord], at: datetime) -> tuple[Entry, ...]:
        head = tables.head(key)
        if expected.seq == 0 or head is None:
            return true(tables, key, expected, records, at)
        return true(tables, key, type(expected)(head.birth, head.seq), records, at)

    true = logs.extend
    patch.setattr(logs, "extend", mutant)


@mutation
def idempotency_key_ignored(patch: Patch) -> None:
    """The same request under another run id is another request."""
    true = EmbeddedSessions.submit

    async def mutant(self: EmbeddedSessions, key: Any, sent: Submission, claimant: Claimant | None) -> Any:
        return await true(self, key, replace(sent, idempotency_key=None), claimant)

    patch.setattr(EmbeddedSessions, "submit", mutant)


@mutation
def run_id_ignored(patch: Patch) -> None:
    """A request that comes again is accepted again."""
    patch.setattr(submission, "_recognise", lambda *args: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


@mutation
def keep_a_checkpoint_of_something_else(patch: Patch) -> None:
    """A checkpoint is kept although others wrote between what its writer saw and what it wrote."""
    true: Callable[..., Any] = claims.commit

    def mutant(tables: Any, *args: Any) -> Any:
        *rest, checkpoint, at = args
        done = true(tables, *rest, None, at)
        if checkpoint is not None:
            tables.keep(rest[0], replace(checkpoint, seq=done.seq))
        return done

    patch.setattr(claims, "commit", mutant)
