"""The SQLite backend for the contract suite."""

import sqlite3
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

from app.core.clock import Clock
from app.core.keys import SessionKey
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores
from app.stores.sqlite.stores import open_sqlite
from tests.contracts.backend import GARBAGE, Footprint


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
