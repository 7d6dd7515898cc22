"""The tables that a session's transactions read and write, in memory."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from app.core.encoding import load_entry
from app.core.ids import Birth, Incarnation, Nonce, RunId, TenantId
from app.core.keys import SessionKey
from app.core.records import Entry
from app.stores.base import CHECKPOINTS_KEPT, IDEMPOTENCY_KEPT, Checkpoint, RunEntry
from app.stores.embedded.index import index_change, named_blobs
from app.stores.embedded.tables import Remembered
from app.stores.fairness import Waiting
from app.stores.head import Change, Head
from app.stores.memory.contents import Contents, StoredSession

K = TypeVar("K", bound=Hashable)


class MemoryTables:
    """The contents as the tables that every transaction reads and writes."""

    def __init__(self, contents: Contents) -> None:
        self._all = contents

    def head(self, key: SessionKey) -> Head | None:
        session = self._all.sessions.get(key)
        return session.head if session is not None else None

    def entries(self, key: SessionKey, after: int, limit: int) -> tuple[Entry, ...]:
        bodies = self._all.sessions[key].bodies[after : after + limit]
        return tuple(load_entry(seq, body) for seq, body in enumerate(bodies, after + 1))

    def checkpoint(self, key: SessionKey, version: int) -> Checkpoint | None:
        usable = (kept for kept in reversed(self._all.sessions[key].checkpoints) if kept.version == version)
        return next(usable, None)

    def keep(self, key: SessionKey, checkpoint: Checkpoint) -> None:
        session = self._all.sessions[key]
        others = [kept for kept in session.checkpoints if kept.seq != checkpoint.seq]
        session.checkpoints = sorted([*others, checkpoint], key=lambda kept: kept.seq)[-CHECKPOINTS_KEPT:]

    def write(self, key: SessionKey, change: Change) -> None:
        session = self._all.sessions.get(key)
        if session is None:
            session = self._all.sessions[key] = StoredSession(head=change.head)
            _file(self._all.users, (key.tenant, key.user), key)
        self._unfile_head(key, session.head)
        self._file_head(key, change.head)
        session.head = change.head
        session.bodies.extend(entry.body for entry in change.entries)
        self._index(key, session, change)
        self._name_blobs(key, session, change)

    def _file_head(self, key: SessionKey, head: Head) -> None:
        if head.owner is not None:
            _file(self._all.owned, head.owner, key)
        elif head.status == "ready":
            _file(self._all.ready, key.tenant, key)

    def _unfile_head(self, key: SessionKey, head: Head) -> None:
        _unfile(self._all.ready, key.tenant, key)
        if head.owner is not None:
            _unfile(self._all.owned, head.owner, key)

    def _index(self, key: SessionKey, session: StoredSession, change: Change) -> None:
        index = index_change(key, change.head.birth, change.entries)
        for run in index.begun:
            session.runs.add(run.run_id)
            self._all.runs[key.tenant, run.run_id] = run
        for move in index.moved:
            run = self._all.runs.get((key.tenant, move.run_id))
            if run is not None:
                self._all.runs[key.tenant, move.run_id] = replace(run, stage=move.stage, last=move.last)

    def _name_blobs(self, key: SessionKey, session: StoredSession, change: Change) -> None:
        for sha256 in named_blobs(change.entries) - session.blobs:
            session.blobs.add(sha256)
            self._all.names[key.tenant, sha256] += 1

    def _let_go(self, tenant: TenantId, sha256: str, at: float) -> None:
        blob = self._all.blobs.get((tenant, sha256))
        if blob is not None:
            blob.touched_at = at
        self._all.names[tenant, sha256] -= 1
        if not self._all.names[tenant, sha256]:
            del self._all.names[tenant, sha256]

    def erase(self, key: SessionKey, birth: Birth, at: float) -> None:
        session = self._all.sessions.pop(key)
        _unfile(self._all.users, (key.tenant, key.user), key)
        self._unfile_head(key, session.head)
        for run_id in session.runs:
            del self._all.runs[key.tenant, run_id]
        for sha256 in session.blobs:
            self._let_go(key.tenant, sha256, at)
        self._all.tombstones[key.digest(), birth] = at

    def erased(self, key: SessionKey, birth: Birth) -> bool:
        return (key.digest(), birth) in self._all.tombstones

    def run(self, tenant: TenantId, run_id: RunId) -> RunEntry | None:
        return self._all.runs.get((tenant, run_id))

    def remembered(self, key: SessionKey, idempotency_key: str) -> Remembered | None:
        session = self._all.sessions.get(key)
        return session.requests.get(idempotency_key) if session is not None else None

    def remember(self, key: SessionKey, idempotency_key: str, use: Remembered) -> None:
        session = self._all.sessions[key]
        session.requests.pop(idempotency_key, None)
        session.requests[idempotency_key] = use
        while len(session.requests) > IDEMPOTENCY_KEPT:
            del session.requests[next(iter(session.requests))]

    def contended(self, tenant: TenantId) -> bool:
        return any(other != tenant for other in self._all.ready)

    def ready(self) -> Iterable[Iterable[Waiting]]:
        return [
            sorted(self._with_heads(keys), key=lambda item: (item[1].ready_at or 0.0, item[0]))
            for keys in self._all.ready.values()
        ]

    def running(self) -> Mapping[TenantId, int]:
        return Counter(key.tenant for keys in self._all.owned.values() for key in keys)

    def owned(self, incarnation: Incarnation, held: Collection[Nonce] = ()) -> Iterable[Waiting]:
        mine = self._with_heads(self._all.owned.get(incarnation, set()))
        return [(key, head) for key, head in mine if head.nonce not in held]

    def _with_heads(self, keys: Iterable[SessionKey]) -> list[Waiting]:
        return [(key, self._all.sessions[key].head) for key in keys]


def _file(index: dict[K, set[SessionKey]], name: K, key: SessionKey) -> None:
    index.setdefault(name, set()).add(key)


def _unfile(index: dict[K, set[SessionKey]], name: K, key: SessionKey) -> None:
    filed = index.get(name, set())
    filed.discard(key)
    if not filed:
        index.pop(name, None)
