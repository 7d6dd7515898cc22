"""Claims: what their owners commit, who gets the next one, and what becomes of those of the dead."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice

from msgspec.structs import replace

from app.core.errors import StaleClaim, StoreCorrupt, Unseen
from app.core.ids import Incarnation, Nonce
from app.core.keys import SessionKey
from app.core.records import AnyRecord
from app.stores import head as protocol
from app.stores.base import Checkpoint, Committed, Log, Release, Taken
from app.stores.embedded.logs import load
from app.stores.embedded.tables import LogTables, Tables
from app.stores.fairness import Waiting, fairly
from app.stores.head import Change, Claim, Claimant, LastCommit


def commit(
    tables: Tables,
    key: SessionKey,
    claim: Claim,
    commit_id: int,
    seen: int,
    records: Sequence[AnyRecord],
    release: Release | None,
    checkpoint: Checkpoint | None,
    at: datetime,
) -> Committed:
    """The records are in the log under that claim, once."""
    head = tables.head(key)
    if head is None:
        raise StaleClaim(f"session {key.session!r} is gone")
    last = protocol.is_repeat(head, claim, commit_id)
    if last is not None:
        return _repeat(tables, key, seen, last)
    heir = _heir(tables, key, release)
    change = protocol.commit(head, claim, commit_id, seen, records, release is not None, key.agent, heir, at=at)
    unseen = tables.entries(key, seen, head.seq - seen) if head.seq > seen else ()
    if change is None:
        raise Unseen(unseen)
    tables.write(key, change)
    if checkpoint is not None and seen == head.seq and checkpoint.seq == seen + len(records):
        tables.keep(key, checkpoint)
    after = change.head
    handed = after.last.handed if after.last is not None else None
    return Committed(after.seq, after.status, unseen, change.entries, handed)


def _heir(tables: Tables, key: SessionKey, release: Release | None) -> Claimant | None:
    """Gives the heir, unless another tenant's session is before it."""
    heir = release.heir if release is not None else None
    return None if heir is None or tables.contended(key.tenant) else heir


def _repeat(tables: LogTables, key: SessionKey, seen: int, last: LastCommit) -> Committed:
    """Gives the newest commit's first answer again."""
    entries = tables.entries(key, seen, last.last - seen)
    unseen = tuple(entry for entry in entries if entry.seq < last.first)
    written = tuple(entry for entry in entries if entry.seq >= last.first)
    return Committed(last.last, last.status, unseen, written, last.handed)


def take(
    tables: Tables, claimant: Claimant, slots: int, held: Collection[Nonce], version: int, at: datetime
) -> tuple[Taken, ...]:
    """Up to `slots` sessions belong to the claimant: its own that it lost track of, then ready ones, fairly."""
    candidates = _readable(tables, _candidates(tables, claimant, frozenset(held)), version)
    chosen = tuple(islice(candidates, slots))
    return tuple(_give(tables, *one, _numbered(claimant, i), at) for i, one in enumerate(chosen))


def _numbered(claimant: Claimant, number: int) -> Claimant:
    """Gives the claimant with a nonce for one of several sessions, so that each can be lost track of by itself."""
    return replace(claimant, nonce=Nonce(f"{claimant.nonce}-{number}"))


def _candidates(tables: Tables, claimant: Claimant, held: frozenset[Nonce]) -> Iterator[Waiting]:
    def adoptable(waiting: Waiting) -> bool:
        key, head = waiting
        return protocol.is_adoptable(head, key.agent, claimant, held)

    own = filter(adoptable, tables.owned(claimant.incarnation, held))
    queues = (filter(adoptable, queue) for queue in tables.ready())
    return chain(own, fairly(queues, tables.running()))


def _readable(tables: LogTables, candidates: Iterator[Waiting], version: int) -> Iterator[tuple[SessionKey, Log]]:
    """Gives the logs as they are, passing over broken ones: they raise StoreCorrupt only if there are no others."""
    broken: StoreCorrupt | None = None
    intact = 0
    for key, head in candidates:
        try:
            log = load(tables, key, version, head.seq, Change(head))
        except StoreCorrupt as error:
            broken = error
            continue
        intact += 1
        yield key, log
    if broken is not None and not intact:
        raise broken


def _give(tables: LogTables, key: SessionKey, log: Log, claimant: Claimant, at: datetime) -> Taken:
    head = log.head
    change = protocol.adopt(head, key.agent, claimant, at=at)
    tables.write(key, change)
    grown = Log(change.head, log.entries + change.entries, log.checkpoint)
    return Taken(key, change.head.claim, head.orphaned or head.owner is not None, grown)


def sweep(tables: Tables, dead: Incarnation, limit: int, at: datetime) -> int:
    """Up to `limit` sessions of the dead incarnation are ready, their claims void; gives how many."""
    orphans = tuple(islice(tables.owned(dead), limit))
    for key, head in orphans:
        tables.write(key, Change(protocol.orphan(head, at)))
    return len(orphans)
