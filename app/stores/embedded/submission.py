"""An input on its way in: recognised if it came before, else admitted by its policy."""

from datetime import datetime

from app.core.errors import IdempotencyMismatch
from app.core.keys import SessionKey, check_run_id
from app.core.records import Entry, InputSteered, RunQueued
from app.stores.base import IDEMPOTENCY_SECONDS, Attached, Claimed, Joined, Position, Queued, RunEntry, Submitted
from app.stores.embedded.logs import load, unborn
from app.stores.embedded.tables import Remembered, Tables
from app.stores.head import Change, Claimant, Head, Submission, admit


def accept(
    tables: Tables, key: SessionKey, submission: Submission, claimant: Claimant | None, version: int, at: datetime
) -> Submitted:
    """The input is in the log, once."""
    check_run_id(key, submission.run_id)
    head = tables.head(key)
    known = _recognise(tables, key, submission, at.timestamp())
    if head is not None and known is not None:
        return _again(tables, key, head, known, claimant, version)
    before = head or unborn(tables, key, Position(submission.birth, 0), at)
    contended = claimant is not None and tables.contended(key.tenant)
    change = admit(before, submission, key.agent, claimant, at=at, contended=contended)
    outcome = _outcome(tables, key, submission, before, change, version)
    tables.write(key, change)
    if submission.idempotency_key is not None:
        use = Remembered(submission.run_id, submission.fingerprint, outcome.seq, at.timestamp())
        tables.remember(key, submission.idempotency_key, use)
    return outcome


def _recognise(tables: Tables, key: SessionKey, submission: Submission, now: float) -> RunEntry | None:
    """Gives the run that this very request has become, if it came before."""
    run_id = submission.run_id
    if submission.idempotency_key is not None:
        use = tables.remembered(key, submission.idempotency_key)
        if use is not None and now - use.at < IDEMPOTENCY_SECONDS:
            if use.fingerprint != submission.fingerprint:
                raise IdempotencyMismatch("this idempotency key came with another body before; use a new key")
            run_id = use.run_id
    return tables.run(key.tenant, run_id)


def _again(
    tables: Tables, key: SessionKey, head: Head, run: RunEntry, claimant: Claimant | None, version: int
) -> Submitted:
    """Gives the claim again to whom it was given, and to everybody else the run to follow."""
    ours = claimant is not None and (head.owner, head.nonce) == (claimant.incarnation, claimant.nonce)
    if ours and head.active == run.run_id:
        return Claimed(run.run_id, run.first, head.claim, load(tables, key, version, head.seq, Change(head)))
    return Attached(run.joined or run.run_id, run.first, head.birth)


def _outcome(
    tables: Tables, key: SessionKey, submission: Submission, before: Head, change: Change, version: int
) -> Claimed | Queued | Joined:
    head, run = change.head, submission.run_id
    first = _first(change)
    if isinstance(first.record, InputSteered):
        return Joined(first.record.run_id, first.seq, head.birth, head.status == "ready")
    if head.epoch == before.epoch:
        return Queued(run, first.seq, head.birth, head.status == "ready")
    return Claimed(run, first.seq, head.claim, load(tables, key, version, before.seq, change))


def _first(change: Change) -> Entry:
    """Gives the entry that holds the input."""
    return next(entry for entry in change.entries if isinstance(entry.record, RunQueued | InputSteered))
