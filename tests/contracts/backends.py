"""The backends that the contract suite and the state machine run over. A new one joins by a class here.

Besides opening its stores, a backend can lose its newest writes (`mark`, `rewind`) and damage or show what is stored,
which no port can.
"""

import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from copy import deepcopy
from dataclasses import fields
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Protocol
from weakref import finalize

from msgspec import Struct

from app.core.clock import Clock
from app.core.keys import SessionKey
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores
from app.stores.memory.contents import Contents
from app.stores.memory.stores import open_memory
from app.stores.sqlite.stores import open_sqlite

GARBAGE = b'{"type":"nonsense"'


class Footprint(Struct, frozen=True):
    """What is stored for a session, as it lies there."""

    bodies: tuple[bytes, ...] = ()
    checkpoints: tuple[int, ...] = ()
    requests: int = 0
    runs: int = 0
    blobs: int = 0


class Backend(Protocol):
    """One technology. `open` twice, one after the other, is a restart: what was durable is there again."""

    @property
    def name(self) -> str: ...

    def open(self, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AbstractAsyncContextManager[Stores]:
        """Gives the stores."""
        ...

    def mark(self) -> None:
        """This moment is what `rewind` goes back to."""
        ...

    def rewind(self) -> None:
        """Every write since the mark is lost, also to stores that are open; the bus loses nothing."""
        ...

    def footprint(self, key: SessionKey) -> Footprint:
        """Shows what is stored for the session; nothing at all for one that is absent."""
        ...

    def spoil_entry(self, key: SessionKey, seq: int, body: bytes | None = GARBAGE) -> None:
        """The stored record is that garbage, or, for None, missing."""
        ...

    def spoil_checkpoints(self, key: SessionKey) -> None:
        """Every checkpoint of the session holds garbage."""
        ...


class MemoryBackend:
    """Contents that outlive the stores opened over them."""

    name = "memory"

    def __init__(self) -> None:
        self._contents = Contents()
        self._marked = Contents()

    def open(self, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AbstractAsyncContextManager[Stores]:
        return open_memory(clock, contents=self._contents, fold_version=fold_version)

    def mark(self) -> None:
        self._marked = deepcopy(self._contents)

    def rewind(self) -> None:
        past = deepcopy(self._marked)
        for field in fields(Contents):
            setattr(self._contents, field.name, getattr(past, field.name))

    def footprint(self, key: SessionKey) -> Footprint:
        session = self._contents.sessions.get(key)
        if session is None:
            return Footprint()
        return Footprint(
            tuple(session.bodies),
            tuple(checkpoint.seq for checkpoint in session.checkpoints),
            len(session.requests),
            len(session.runs),
            len(session.blobs),
        )

    def spoil_entry(self, key: SessionKey, seq: int, body: bytes | None = GARBAGE) -> None:
        self._contents.sessions[key].bodies[seq - 1 : seq] = [] if body is None else [body]

    def spoil_checkpoints(self, key: SessionKey) -> None:
        session = self._contents.sessions[key]
        session.checkpoints = [type(kept)(kept.seq, kept.version, GARBAGE) for kept in session.checkpoints]


class SqliteBackend:
    """A file, which other connections of this process may look into."""

    name = "sqlite"

    def __init__(self) -> None:
        folder = mkdtemp(prefix="baton-")
        finalize(self, rmtree, folder)
        self.path = Path(folder) / "baton.db"
        self._marked = b""

    def open(self, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AbstractAsyncContextManager[Stores]:
        return open_sqlite(self.path, clock, fold_version=fold_version)

    def mark(self) -> None:
        with closing(sqlite3.connect(self.path)) as here:
            self._marked = here.serialize()

    def rewind(self) -> None:
        with closing(sqlite3.connect(":memory:")) as past, closing(sqlite3.connect(self.path)) as here:
            past.deserialize(_without_wal(self._marked))
            past.backup(here)

    def footprint(self, key: SessionKey) -> Footprint:
        with closing(sqlite3.connect(self.path)) as here:
            session = _row(here, key)
            return Footprint(
                tuple(_column(here, "SELECT body FROM entries WHERE session = ? ORDER BY seq", session)),
                tuple(_column(here, "SELECT seq FROM checkpoints WHERE session = ? ORDER BY seq", session)),
                len(_column(here, "SELECT seq FROM requests WHERE session = ?", session)),
                len(_column(here, "SELECT run_id FROM runs WHERE session = ?", session)),
                len(_column(here, "SELECT sha256 FROM blob_names WHERE session = ?", session)),
            )

    def spoil_entry(self, key: SessionKey, seq: int, body: bytes | None = GARBAGE) -> None:
        statement = "UPDATE entries SET body = ? WHERE session = ? AND seq = ?"
        if body is None:
            statement = "DELETE FROM entries WHERE ? IS NULL AND session = ? AND seq = ?"
        self._change(key, statement, (body,), (seq,))

    def spoil_checkpoints(self, key: SessionKey) -> None:
        self._change(key, "UPDATE checkpoints SET body = ? WHERE session = ?", (GARBAGE,), ())

    def _change(self, key: SessionKey, statement: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(self.path)) as here, here:
            here.execute(statement, (*before, _row(here, key), *after))


def _row(here: sqlite3.Connection, key: SessionKey) -> int | None:
    where = "tenant = ? AND user = ? AND agent = ? AND session = ?"
    row = here.execute(f"SELECT id FROM sessions WHERE {where}", (key.tenant, key.user, key.agent, key.session))
    return next((found for (found,) in row), None)


def _column(here: sqlite3.Connection, statement: str, session: int | None) -> list[Any]:
    return [found for (found,) in here.execute(statement, (session,))]


def _without_wal(image: bytes) -> bytes:
    """Gives the file image with the rollback-journal flag: a database in memory cannot have a WAL."""
    return image[:18] + b"\x01\x01" + image[20:]


BACKENDS: tuple[type[Backend], ...] = (MemoryBackend, SqliteBackend)
