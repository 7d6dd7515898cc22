"""The tables that a session's transactions read and write, in SQLite."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from app.core.encoding import load_entry
from app.core.errors import StoreCorrupt
from app.core.ids import Birth, Incarnation, Nonce, RunId, TenantId
from app.core.keys import SessionKey
from app.core.records import Entry
from app.stores.base import CHECKPOINTS_KEPT, IDEMPOTENCY_KEPT, Checkpoint, RunEntry
from app.stores.embedded.index import index_change, named_blobs
from app.stores.embedded.tables import Remembered
from app.stores.fairness import Waiting
from app.stores.head import Change, Head
from app.stores.sqlite.queries import Queries

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Head)


def load_head(body: bytes) -> Head:
    """Gives a stored head. Raises StoreCorrupt."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"a stored head cannot be read: {error}") from error


class SqliteTables:
    """One transaction's view. It remembers the row numbers of the sessions it has found."""

    def __init__(self, queries: Queries) -> None:
        self._sql = queries
        self._rows: dict[SessionKey, int] = {}

    def head(self, key: SessionKey) -> Head | None:
        found = self._sql.row("find_session", (key.tenant, key.user, key.agent, key.session))
        if found is None:
            return None
        self._rows[key] = found[0]
        return load_head(found[1])

    def entries(self, key: SessionKey, after: int, limit: int) -> tuple[Entry, ...]:
        rows = self._sql.rows("select_entries", (self._rows[key], after, limit))
        return tuple(load_entry(seq, body) for seq, body in rows)

    def checkpoint(self, key: SessionKey, version: int) -> Checkpoint | None:
        row = self._sql.row("newest_checkpoint", (self._rows[key], version))
        return Checkpoint(*row) if row is not None else None

    def keep(self, key: SessionKey, checkpoint: Checkpoint) -> None:
        session = self._rows[key]
        self._sql.run("put_checkpoint", (session, checkpoint.seq, checkpoint.version, checkpoint.body))
        self._sql.run("prune_checkpoints", {"session": session, "kept": CHECKPOINTS_KEPT})

    def write(self, key: SessionKey, change: Change) -> None:
        session = self._write_head(key, change.head)
        self._sql.run_many("insert_entry", [(session, entry.seq, entry.body) for entry in change.entries])
        self._index(key, session, change)
        names = named_blobs(change.entries)
        if names:
            self._sql.run_many("name_blob", [(session, key.tenant, sha256) for sha256 in names])

    def _write_head(self, key: SessionKey, head: Head) -> int:
        state = (head.owner, head.nonce, head.ready_at, _encoder.encode(head))
        session = self._rows.get(key)
        if session is not None:
            self._sql.run("update_session", (*state, session))
            return session
        place = (key.tenant, key.user, key.agent, key.session, head.birth, head.created_at)
        row = self._sql.row("insert_session", (*place, *state))
        self._rows[key] = row[0] if row is not None else 0
        return self._rows[key]

    def _index(self, key: SessionKey, session: int, change: Change) -> None:
        index = index_change(key, change.head.birth, change.entries)
        for run in index.begun:
            place = (key.tenant, run.run_id, session)
            self._sql.run("insert_run", (*place, run.first, run.last, run.stage, run.joined))
        for move in index.moved:
            self._sql.run("move_run", (move.stage, move.last, key.tenant, move.run_id))

    def erase(self, key: SessionKey, birth: Birth, at: float) -> None:
        session = self._rows.pop(key)
        self._sql.run("touch_named_blobs", (at, session))
        self._sql.run("delete_session", (session,))
        self._sql.run("insert_tombstone", (key.digest(), birth, at))

    def erased(self, key: SessionKey, birth: Birth) -> bool:
        return self._sql.row("find_tombstone", (key.digest(), birth)) is not None

    def run(self, tenant: TenantId, run_id: RunId) -> RunEntry | None:
        row = self._sql.row("find_run", (tenant, run_id))
        return RunEntry(run_id, SessionKey(*row[:4]), *row[4:]) if row is not None else None

    def remembered(self, key: SessionKey, idempotency_key: str) -> Remembered | None:
        row = self._sql.row("find_request", (self._rows.get(key), idempotency_key))
        return Remembered(*row) if row is not None else None

    def remember(self, key: SessionKey, idempotency_key: str, use: Remembered) -> None:
        session = self._rows[key]
        self._sql.run("put_request", (session, idempotency_key, use.run_id, use.fingerprint, use.seq, use.at))
        self._sql.run("prune_requests", {"session": session, "kept": IDEMPOTENCY_KEPT})

    def contended(self, tenant: TenantId) -> bool:
        row = self._sql.row("is_contended", {"tenant": tenant})
        return row is not None and bool(row[0])

    def ready(self) -> Iterable[Iterable[Waiting]]:
        tenants = [tenant for (tenant,) in self._sql.rows("ready_tenants")]
        return (self._waiting("ready_sessions", (tenant,)) for tenant in tenants)

    def running(self) -> Mapping[TenantId, int]:
        return dict(self._sql.rows("count_running"))

    def owned(self, incarnation: Incarnation, held: Collection[Nonce] = ()) -> Iterable[Waiting]:
        return self._waiting("owned_sessions", (incarnation, _encoder.encode(list(held)).decode()))

    def _waiting(self, name: str, arguments: tuple[Any, ...]) -> Iterator[Waiting]:
        for session, tenant, user, agent, name_, head in self._sql.rows(name, arguments):
            key = SessionKey(tenant, user, agent, name_)
            self._rows[key] = session
            yield key, load_head(head)
