"""Logs without a claim: append by compare-and-set, create, delete."""

from collections.abc import Sequence
from typing import Any

from app.core.errors import BatonError, HeadMoved, SessionExists, SessionNotFound
from app.core.keys import SessionKey
from app.core.records import AnyRecord, Entry
from app.stores.base import Position
from app.stores.redis.beginnings import Beginnings
from app.stores.redis.blobs import BlobNames
from app.stores.redis.clock import Stamp
from app.stores.redis.connection import Connection
from app.stores.redis.layout import layout
from app.stores.redis.listing import UserLists
from app.stores.redis.reading import numbered, text
from app.stores.redis.requests import Appending, blobs_of, record
from app.stores.remote.lines import prepare


class Logs:
    """Lets those write who own nothing."""

    def __init__(
        self, connection: Connection, beginnings: Beginnings, lists: UserLists, names: BlobNames, stamp: Stamp
    ) -> None:
        self._redis = connection
        self._beginnings = beginnings
        self._lists = lists
        self._names = names
        self._stamp = stamp

    async def append(self, key: SessionKey, expected: Position, records: Sequence[AnyRecord]) -> tuple[Entry, ...]:
        """The records follow the expected position."""
        lines, blobs = prepare(records), blobs_of(records)
        if blobs:
            await self._names.add(key, blobs)
        request = Appending(
            now=self._stamp(),
            blobs=blobs,
            birth=expected.birth,
            seq=expected.seq,
            records=[record(line) for line in lines],
        )
        reply = await self._beginnings.run("append", key, request)
        match reply:
            case [b"appended", first]:
                return tuple(
                    Entry(seq, one, line.body)
                    for seq, (one, line) in enumerate(zip(records, lines, strict=True), first)
                )
            case [b"repeated", bodies]:
                return numbered(bodies, 0)
            case _:
                raise _refusal(key, expected, reply)

    async def delete(self, key: SessionKey) -> None:
        """Nothing of the session is left but a tombstone. Raises SessionNotFound."""
        where = layout(key)
        reply = await self._redis.run("delete", where.keys, (where.tombstone(), self._stamp()))
        if not reply:
            raise SessionNotFound(f"there is no session {key.session!r}")
        created_at, blobs = reply
        await self._lists.remove((key, float(created_at)))
        await self._names.remove(key, [text(sha256) for sha256 in blobs])


def _refusal(key: SessionKey, expected: Position, reply: list[Any]) -> BatonError:
    match reply:
        case [b"moved", seq]:
            return HeadMoved(f"the log is at seq {seq}, not at {expected.seq}")
        case [b"exists"]:
            return SessionExists(f"session {key.session!r} exists already")
        case [b"erased"]:
            return SessionNotFound(f"session {key.session!r} was deleted")
        case _:
            return SessionNotFound(f"there is no session {key.session!r}")
