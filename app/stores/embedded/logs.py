"""Logs without a claim: read, append by compare-and-set, create, delete."""

from collections.abc import Sequence
from datetime import datetime

from app.core.errors import HeadMoved, SessionExists, SessionNotFound
from app.core.keys import SessionKey
from app.core.records import AnyRecord, Entry
from app.stores.base import Log, Position
from app.stores.embedded.tables import LogTables
from app.stores.head import Change, Head, append, create


def found(tables: LogTables, key: SessionKey) -> Head:
    """Gives the head. Raises SessionNotFound."""
    head = tables.head(key)
    if head is None:
        raise SessionNotFound(f"there is no session {key.session!r}")
    return head


def unborn(tables: LogTables, key: SessionKey, position: Position, at: datetime) -> Head:
    """Gives the head of a log that is to begin now. Raises SessionNotFound if that very log was deleted before."""
    if tables.erased(key, position.birth):
        raise SessionNotFound(f"session {key.session!r} was deleted")
    return create(position.birth, at.timestamp())


def load(tables: LogTables, key: SessionKey, version: int, before: int, change: Change) -> Log:
    """Gives the newest usable checkpoint and the tail: what is stored up to seq `before`, then the change's entries."""
    checkpoint = tables.checkpoint(key, version) if before else None
    start = checkpoint.seq if checkpoint is not None else 0
    stored = tables.entries(key, start, before - start) if before > start else ()
    return Log(change.head, stored + change.entries, checkpoint)


def read(tables: LogTables, key: SessionKey, version: int, after: int | None, limit: int) -> Log:
    """Gives the log from that seq on, or all that is needed to fold its state."""
    head = found(tables, key)
    if after is None:
        return load(tables, key, version, head.seq, Change(head))
    return Log(head, tables.entries(key, max(0, after), limit) if after < head.seq else ())


def extend(
    tables: LogTables, key: SessionKey, expected: Position, records: Sequence[AnyRecord], at: datetime
) -> tuple[Entry, ...]:
    """The records follow the expected position, written by somebody who owns nothing."""
    if expected.seq == 0:
        return _begin(tables, key, expected, records, at)
    head = found(tables, key)
    if (head.birth, head.seq) != (expected.birth, expected.seq):
        raise HeadMoved(f"the log is at seq {head.seq}, not at {expected.seq}")
    return _grow(tables, key, head, records, at)


def _begin(
    tables: LogTables, key: SessionKey, expected: Position, records: Sequence[AnyRecord], at: datetime
) -> tuple[Entry, ...]:
    head = tables.head(key)
    if head is None:
        return _grow(tables, key, unborn(tables, key, expected, at), records, at)
    if head.birth != expected.birth:
        raise SessionExists(f"session {key.session!r} exists already")
    return tables.entries(key, 0, len(records))


def _grow(
    tables: LogTables, key: SessionKey, head: Head, records: Sequence[AnyRecord], at: datetime
) -> tuple[Entry, ...]:
    change = append(head, records, at)
    tables.write(key, change)
    return change.entries


def delete(tables: LogTables, key: SessionKey, at: datetime) -> None:
    """Nothing of the session is left but a tombstone."""
    tables.erase(key, found(tables, key).birth, at.timestamp())
