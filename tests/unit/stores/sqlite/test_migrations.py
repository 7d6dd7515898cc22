"""The schema is made once, kept by later starts, and never taken backwards."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.errors import ConfigError, StoreCorrupt
from app.stores.sqlite.migrations import FOLDER, migrate
from app.stores.sqlite.queries import Queries, load_statements
from app.stores.sqlite.stores import open_sqlite
from app.testing.clock import ManualClock


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as here:
        return next(found for (found,) in here.execute("PRAGMA user_version"))


async def test_every_file_of_the_folder_is_applied_once(path: Path) -> None:
    for _ in range(2):
        async with open_sqlite(path, ManualClock()):
            pass
        assert version(path) == len(list(FOLDER.glob("*.sql")))


async def test_a_newer_database_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as here:
        here.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="99"):
        async with open_sqlite(path, ManualClock()):
            pass
    assert version(path) == 99


def migrated(path: Path, folder: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as here:
        migrate(Queries(here, load_statements()), folder)


def test_later_files_are_applied_to_older_databases(path: Path, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (x); PRAGMA user_version = 1;")
    migrated(path, tmp_path)
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE b (x); PRAGMA user_version = 2;")
    migrated(path, tmp_path)
    assert version(path) == 2


def test_half_a_migration_is_none(path: Path, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (x); CREATE TABLE a (x); PRAGMA user_version = 1;")
    with pytest.raises(sqlite3.OperationalError):
        migrated(path, tmp_path)
    with closing(sqlite3.connect(path)) as here:
        assert here.execute("SELECT name FROM sqlite_schema").fetchall() == []
    assert version(path) == 0


async def test_what_is_no_database_is_corrupt(path: Path) -> None:
    path.write_bytes(b"this is not a database, but text" * 200)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt):
        async with open_sqlite(path, ManualClock()):
            pass
    assert path.read_bytes() == before
