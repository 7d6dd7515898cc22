"""What the functions are given: keys, records, claimants, each spread over the parameters that it has."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.core.ids import AgentId
from app.core.keys import SessionKey
from app.core.messages import Part
from app.core.records import AnyRecord, Entry
from app.stores.base import Checkpoint
from app.stores.embedded.index import named_blobs
from app.stores.head import Claimant, Submission
from app.stores.postgres.text import stored
from app.stores.remote.lines import Line, draft, start

Arguments = tuple[Any, ...]

NOBODY: Arguments = (None,) * 6
NO_CHECKPOINT: Arguments = (None,) * 3


def known(key: SessionKey) -> Arguments:
    """Gives what finds a session: tenant and digest."""
    return stored(key.tenant), key.digest()


def place(key: SessionKey) -> Arguments:
    """Gives what a session may begin with: tenant, user, agent, session and digest."""
    return stored(key.tenant), stored(key.user), stored(key.agent), stored(key.session), key.digest()


def columns(lines: Sequence[Line]) -> Arguments:
    """Gives the records as lists: kinds, bodies, readers, runs, titles, statuses, inputs."""
    return (
        [line.kind for line in lines],
        [line.body for line in lines],
        [line.reader for line in lines],
        [line.run for line in lines],
        [line.title if line.title is None else stored(line.title) for line in lines],
        [line.status for line in lines],
        [line.input_id for line in lines],
    )


def owner(claimant: Claimant | None, agent: AgentId, at: datetime) -> Arguments:
    """Gives incarnation, nonce, reader, and the pieces of a `run.started`: none if it cannot run the agent."""
    if claimant is None:
        return NOBODY
    begun = start(claimant, agent, at)
    pieces = (begun.before, begun.middle, begun.after) if begun is not None else (None, None, None)
    return (claimant.incarnation, claimant.nonce, claimant.reader, *pieces)


def request(submission: Submission, at: datetime) -> Arguments:
    """Gives an input with all that it may become. Raises RecordTooLarge and InvalidInput."""
    becoming = draft(submission, at)
    key = submission.idempotency_key
    return (
        submission.run_id,
        submission.policy.value,
        submission.birth,
        stored(submission.title),
        stored(key) if key is not None else None,
        stored(submission.fingerprint),
        becoming.created,
        becoming.queued,
        becoming.steered.before,
        becoming.steered.after,
        becoming.cancel.before,
        becoming.cancel.after,
        _blobs_in(submission.input),
    )


def snapshot(checkpoint: Checkpoint | None) -> Arguments:
    """Gives a checkpoint's place, version and bytes."""
    return NO_CHECKPOINT if checkpoint is None else (checkpoint.seq, checkpoint.version, checkpoint.body)


def blobs(records: Sequence[AnyRecord]) -> list[str]:
    """Gives the SHA-256 of every blob that the records name."""
    return list(named_blobs(Entry(0, record, b"") for record in records))


def _blobs_in(parts: Sequence[Part]) -> list[str]:
    named = (getattr(part, "blob", None) for part in parts)
    return [blob.sha256 for blob in named if blob is not None]
