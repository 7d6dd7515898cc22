"""Commits: a runner's records, under its claim."""

from collections.abc import Sequence
from typing import Any, cast

from app.core.clock import Clock
from app.core.errors import BatonError, LogRegressed, StaleClaim, StoreCorrupt, Unseen
from app.core.ids import Nonce
from app.core.keys import SessionKey
from app.core.records import AnyRecord, Entry
from app.stores.base import Checkpoint, Committed, Release
from app.stores.head import Claim, Status
from app.stores.redis.blobs import BlobNames
from app.stores.redis.clock import Stamp
from app.stores.redis.connection import Connection
from app.stores.redis.layout import layout
from app.stores.redis.reading import numbered, text
from app.stores.redis.requests import Committing, Owner, blobs_of, encode, owner, record
from app.stores.remote.lines import prepare, start


class Commits:
    """Takes runners' commits."""

    def __init__(self, connection: Connection, names: BlobNames, clock: Clock, stamp: Stamp) -> None:
        self._redis = connection
        self._names = names
        self._clock = clock
        self._stamp = stamp

    async def commit(
        self,
        key: SessionKey,
        claim: Claim,
        commit_id: int,
        seen: int,
        records: Sequence[AnyRecord],
        release: Release | None,
        checkpoint: Checkpoint | None,
    ) -> Committed:
        """The records are in the log under that claim, once."""
        lines, blobs = prepare(records), blobs_of(records)
        if blobs:
            await self._names.add(key, blobs)
        request = Committing(
            now=self._stamp(),
            blobs=blobs,
            claim=claim,
            number=commit_id,
            seen=seen,
            records=[record(line) for line in lines],
            release=release is not None,
            heir=self._heir(key, release),
            checkpoint=None if checkpoint is None else {"seq": checkpoint.seq, "version": checkpoint.version},
        )
        reply = await self._ask(key, request, checkpoint.body if checkpoint is not None else b"")
        match reply:
            case [b"committed", *answer]:
                own = [(one, line.body) for one, line in zip(records, lines, strict=True)]
                return _committed(seen, own, *answer)
            case [b"repeated", *answer]:
                return _repeated(seen, *answer)
            case _:
                raise _refusal(key, request, reply)

    def _heir(self, key: SessionKey, release: Release | None) -> Owner | None:
        heir = release.heir if release is not None else None
        return None if heir is None else owner(heir, start(heir, key.agent, self._clock.now()))

    async def _ask(self, key: SessionKey, request: Committing, checkpoint: bytes) -> list[Any]:
        where, heir = layout(key), request.heir
        own = () if heir is None else (where.owned(heir.incarnation),)
        return await self._redis.run("commit", (*where.keys, *own), (encode(request), checkpoint))


def _committed(
    seen: int,
    own: Sequence[tuple[AnyRecord, bytes]],
    last: int,
    status: bytes,
    first: int,
    bodies: Sequence[bytes],
    epoch: int | None,
    nonce: bytes | None,
) -> Committed:
    """Gives a commit's answer; the bodies are those that others wrote before, and the one of a handed-over run."""
    others = first - 1 - seen
    written = tuple(Entry(seq, one, body) for seq, (one, body) in enumerate(own, first))
    started = numbered(bodies[others:], first + len(own) - 1)
    return Committed(last, _status(status), numbered(bodies[:others], seen), written + started, _claim(epoch, nonce))


def _repeated(
    seen: int, last: int, status: bytes, first: int, bodies: Sequence[bytes], epoch: int | None, nonce: bytes | None
) -> Committed:
    """Gives the first answer again; the bodies are all that there were then after `seen`."""
    entries = numbered(bodies, seen)
    unseen = tuple(entry for entry in entries if entry.seq < first)
    written = tuple(entry for entry in entries if entry.seq >= first)
    return Committed(last, _status(status), unseen, written, _claim(epoch, nonce))


def _claim(epoch: int | None, nonce: bytes | None) -> Claim | None:
    return None if epoch is None else Claim(epoch, Nonce(text(nonce)))


def _status(status: bytes) -> Status:
    return cast("Status", text(status))


def _refusal(key: SessionKey, request: Committing, reply: list[Any]) -> BatonError:
    match reply:
        case [b"gone"]:
            return StaleClaim(f"session {key.session!r} is gone")
        case [b"stale", epoch]:
            return StaleClaim(f"epoch {request.claim.epoch} does not own this session; epoch {epoch} is in force")
        case [b"regressed", commits, seq]:
            expected = f"commit {request.number} after seq {request.seen}"
            return LogRegressed(f"{expected}, but the log has {commits} and {seq}")
        case [b"unseen", bodies]:
            return Unseen(numbered(bodies, request.seen))
        case _:
            return StoreCorrupt(f"the log of session {key.session!r} cannot be read: a record is broken or missing")
