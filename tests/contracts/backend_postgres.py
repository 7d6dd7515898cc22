"""Postgres for the contract suite and the state machine: a real server, one database, emptied for every test."""

import atexit
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from app.core.clock import Clock
from app.core.keys import SessionKey
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores
from app.stores.postgres.stores import open_postgres
from tests.contracts.backend import GARBAGE, Footprint
from tests.support.services.pgbouncer import PgBouncer
from tests.support.services.postgres import PostgresDatabase, postgres


class Shelf:
    """The database that this process's tests share, seen by its superuser, with a copy of every table beside it."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database
        self.connection = psycopg.connect(database.superuser_url, autocommit=True)
        atexit.register(self.connection.close)
        statement = "SELECT tablename FROM pg_tables WHERE schemaname = 'baton' AND tablename <> 'schema_version'"
        self._tables = [Identifier(name) for (name,) in self.connection.execute(statement)]
        self._run(SQL("CREATE SCHEMA mark"), *self._each("CREATE TABLE mark.{0} (LIKE baton.{0})"))

    def empty(self) -> None:
        """Nothing is stored, and nothing is marked."""
        names = SQL(", ").join(SQL("{0}.{1}").format(Identifier(s), t) for s in ("baton", "mark") for t in self._tables)
        self.connection.execute(SQL("TRUNCATE {}").format(names))

    def mark(self) -> None:
        """The copies are what is stored."""
        self._run(*self._each("DELETE FROM mark.{0}"), *self._each("INSERT INTO mark.{0} SELECT * FROM baton.{0}"))

    def rewind(self) -> None:
        """What is stored is the copies."""
        self._run(*self._each("DELETE FROM baton.{0}"), *self._each("INSERT INTO baton.{0} SELECT * FROM mark.{0}"))

    def _each(self, statement: LiteralString) -> list[Composed]:
        return [SQL(statement).format(table) for table in self._tables]

    def _run(self, *statements: SQL | Composed) -> None:
        """Runs the statements as one transaction, in one round trip."""
        self.connection.execute(SQL("; ").join(statements))


@cache
def shelf() -> Shelf:
    """Gives this process's database."""
    return Shelf(postgres().database())


class PostgresBackend:
    """A database, which other connections of this process may look into."""

    name = "postgres"

    def __init__(self) -> None:
        self._shelf = self.place()
        self._shelf.empty()

    def place(self) -> Shelf:
        """Gives where everything is."""
        return shelf()

    def open(self, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AbstractAsyncContextManager[Stores]:
        url = self._shelf.database.url
        return open_postgres(url, clock, now=lambda: clock.now().timestamp(), fold_version=fold_version)

    def mark(self) -> None:
        self._shelf.mark()

    def rewind(self) -> None:
        self._shelf.rewind()

    def footprint(self, key: SessionKey) -> Footprint:
        session = self._session(key)
        return Footprint(
            tuple(self._column("SELECT body FROM baton.entries WHERE session = %s ORDER BY seq", session)),
            tuple(self._column("SELECT seq FROM baton.checkpoints WHERE session = %s ORDER BY seq", session)),
            len(self._column("SELECT seq FROM baton.requests WHERE session = %s", session)),
            len(self._column("SELECT run_id FROM baton.runs WHERE session = %s", session)),
            len(self._column("SELECT sha256 FROM baton.blob_names WHERE session = %s", session)),
        )

    def spoil_entry(self, key: SessionKey, seq: int, body: bytes | None = GARBAGE) -> None:
        place = (self._session(key), seq)
        if body is None:
            self._shelf.connection.execute("DELETE FROM baton.entries WHERE session = %s AND seq = %s", place)
        else:
            change = "UPDATE baton.entries SET body = %s WHERE session = %s AND seq = %s"
            self._shelf.connection.execute(change, (body, *place))

    def spoil_checkpoints(self, key: SessionKey) -> None:
        change = "UPDATE baton.checkpoints SET body = %s WHERE session = %s"
        self._shelf.connection.execute(change, (GARBAGE, self._session(key)))

    def _session(self, key: SessionKey) -> int | None:
        row = self._shelf.connection.execute(
            "SELECT id FROM baton.sessions WHERE digest = %s", (key.digest(),)
        ).fetchone()
        return row[0] if row is not None else None

    def _column(self, statement: LiteralString, session: int | None) -> list[Any]:
        return [found for (found,) in self._shelf.connection.execute(statement, (session,))]


@cache
def pooled_shelf() -> Shelf:
    """Gives this process's database for what goes through the pooler: it keeps connections, and with them plans."""
    return Shelf(postgres().database())


@cache
def pooler() -> PgBouncer:
    """Gives this process's pooler, with fewer connections to the server than its clients have to it."""
    return PgBouncer(postgres())


class PooledPostgresBackend(PostgresBackend):
    """The same behind a transaction pooler, which is passed by for what it cannot carry."""

    name = "postgres-pooled"

    def place(self) -> Shelf:
        return pooled_shelf()

    def open(self, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AbstractAsyncContextManager[Stores]:
        database = self._shelf.database
        return open_postgres(
            pooler().url(database),
            clock,
            direct_url=database.url,
            now=lambda: clock.now().timestamp(),
            fold_version=fold_version,
        )
