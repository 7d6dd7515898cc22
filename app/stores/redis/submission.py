"""An input on its way in."""

from typing import Any

from app.core.clock import Clock
from app.core.errors import BatonError, IdempotencyMismatch, QueueFull, SessionBusy, SessionNotFound, StoreCorrupt
from app.core.ids import Birth, RunId
from app.core.keys import SessionKey, check_run_id
from app.core.records import Busy, RunQueued
from app.stores.base import Attached, Claimed, Joined, Queued, Submitted
from app.stores.head import MAX_QUEUE, MAX_STEERED, Claimant, Submission
from app.stores.redis.beginnings import Beginnings
from app.stores.redis.blobs import BlobNames
from app.stores.redis.clock import Stamp
from app.stores.redis.layout import layout
from app.stores.redis.reading import Reader, text
from app.stores.redis.requests import Record, Submitting, blobs_of, halves, owner
from app.stores.remote.lines import draft, start


class Submissions:
    """Takes inputs in."""

    def __init__(
        self,
        beginnings: Beginnings,
        reader: Reader,
        names: BlobNames,
        clock: Clock,
        stamp: Stamp,
    ) -> None:
        self._beginnings = beginnings
        self._reader = reader
        self._names = names
        self._clock = clock
        self._stamp = stamp

    async def submit(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitted:
        """The input is in the log, once."""
        check_run_id(key, submission.run_id)
        request = self._request(key, submission, claimant)
        if request.blobs:
            await self._names.add(key, request.blobs)
        own = () if claimant is None else (layout(key).owned(claimant.incarnation),)
        return self._outcome(key, await self._beginnings.run("submit", key, request, own))

    def _request(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitting:
        at, policy, run = self._clock.now(), submission.policy, submission.run_id
        drafted = draft(submission, at)
        return Submitting(
            now=self._stamp(),
            blobs=blobs_of([RunQueued(at=at, run_id=run, input=submission.input)]),
            run=run,
            policy=policy.value,
            birth=submission.birth,
            fingerprint=submission.fingerprint,
            idempotency_key=submission.idempotency_key,
            claimant=None if claimant is None else owner(claimant, start(claimant, key.agent, at)),
            version=self._reader.version,
            created=Record(kind="session.created", body=drafted.created.decode(), title=submission.title),
            queued=Record(kind="run.queued", body=drafted.queued.decode(), run=run),
            steered=halves(drafted.steered) if policy is Busy.STEER else None,
            cancel=halves(drafted.cancel) if policy is Busy.INTERRUPT else None,
        )

    def _outcome(self, key: SessionKey, reply: list[Any]) -> Submitted:
        match reply:
            case [b"claimed", run, seq, *stored]:
                log = self._reader.log(*stored)
                return Claimed(RunId(text(run)), seq, log.head.claim, log)
            case [b"queued", run, seq, birth, status]:
                return Queued(RunId(text(run)), seq, Birth(text(birth)), status == b"ready")
            case [b"joined", run, seq, birth, status]:
                return Joined(RunId(text(run)), seq, Birth(text(birth)), status == b"ready")
            case [b"attached", run, seq, birth]:
                return Attached(RunId(text(run)), seq, Birth(text(birth)))
            case _:
                raise _refusal(key, reply)


def _refusal(key: SessionKey, reply: list[Any]) -> BatonError:
    match reply:
        case [b"busy", run]:
            return SessionBusy(RunId(text(run)))
        case [b"full", b"steered"]:
            return QueueFull(f"{MAX_STEERED} inputs joined this run already; wait for it to finish")
        case [b"full", _]:
            return QueueFull(f"{MAX_QUEUE} runs wait in this session already; try again when one has finished")
        case [b"mismatch"]:
            return IdempotencyMismatch("this idempotency key came with another body before; use a new key")
        case [b"erased"]:
            return SessionNotFound(f"session {key.session!r} was deleted")
        case _:
            return StoreCorrupt(f"the log of session {key.session!r} cannot be read: a record is broken or missing")
