"""How much a call reads: what it is asked for, however many sessions there are, and whatever the planner believes.

The planner is lied to: it has its statistics from a moment at which every session was ready and owned. Each function is
called with plans that do not look at their arguments, as a connection's later calls are.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, LiteralString, cast

import psycopg
import pytest

from app.stores.postgres.arguments import columns, known, owner, place, request
from app.stores.postgres.database import statements
from app.stores.remote.lines import prepare
from app.testing.clock import START
from tests.contracts.scenes import AGENT, answer, ask, done, key, rid, title, who
from tests.support.services.postgres import PostgresDatabase, postgres

MANY = 4000
FEW = 60
"""Rows that one call may read, of all tables together."""
KEY = key()
CALLS = {
    "adopt_v1",
    "append_v1",
    "candidates_v1",
    "commit_v1",
    "delete_v1",
    "find_v1",
    "list_v1",
    "peek_v1",
    "read_v1",
    "submit_v1",
    "sweep_v1",
}
CROWD: LiteralString = """
INSERT INTO baton.sessions
    (tenant, usr, agent, session, digest, partition, birth, created_at, updated_at, queue, ready_at, owner)
SELECT 't', 'u', 'a', 'other ' || i, encode(sha256(i::text::bytea), 'hex'), 0, 'b', i, i, '{r}', i, 'gone'
FROM generate_series(1, %s) AS i;
"""
NOW_IDLE: LiteralString = "UPDATE baton.sessions SET ready_at = NULL, owner = NULL, queue = '{}'"
READ: LiteralString = """
SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables
WHERE schemaname = 'baton'
"""


@pytest.fixture(scope="module")
def crowded() -> PostgresDatabase:
    """A database with many idle sessions of one user, all of which the planner takes for ready and owned."""
    database = postgres().database()
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute(CROWD, (MANY,))
        for statement in ("ANALYZE baton.sessions", NOW_IDLE, "VACUUM baton.sessions"):
            superuser.execute(statement)
    return database


class Meter:
    """One transaction, whose calls are measured by the rows that they read."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection
        self.read: dict[str, int] = {}

    def call(self, function: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Gives the rows of the named statement."""
        before = self._rows_read()
        statement = cast("LiteralString", re.sub(r"\$\d+", "%s", statements()[function]))
        rows = self._connection.execute(statement, arguments).fetchall()
        self.read[function] = max(self._rows_read() - before, self.read.get(function, 0))
        return rows

    def _rows_read(self) -> int:
        return next(iter(self._connection.execute(READ)))[0]


@contextmanager
def measured(database: PostgresDatabase) -> Generator[Meter]:
    """Gives the meter; what it did is undone."""
    with psycopg.connect(database.url) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        yield Meter(connection)
        connection.rollback()


def play(meter: Meter) -> None:
    """Calls every function that a session's life needs."""
    asked = request(ask(idempotency_key="k"), START)
    taker = owner(who("n"), AGENT, START)
    for _ in range(2):
        assert meter.call("submit_v1", *place(KEY), None, 1, *asked, *taker)[0][0] == "claimed"
    lines = columns(prepare([answer(seen=3), done()]))
    for outcome in ("committed", "repeat"):
        committed = meter.call("commit_v1", *known(KEY), None, 1, "n", 1, 3, *lines, [], True, *taker, 5, 1, b"{}")
        assert committed[0][0] == outcome
    later = columns(prepare([title("later")]))
    assert meter.call("append_v1", *place(KEY), None, "b", 5, *later, [])[0][0] == "appended"
    assert meter.call("read_v1", *known(KEY), None, 0, 1)
    assert meter.call("read_v1", *known(KEY), 2, 2, 1)
    assert len(meter.call("list_v1", KEY.tenant, KEY.user, None, 1e12, "", 20)) == 20
    assert meter.call("find_v1", KEY.tenant, rid())
    assert meter.call("peek_v1", [KEY.tenant], [KEY.digest()])
    waits = request(ask("r2"), START)
    assert meter.call("submit_v1", *place(KEY), None, 1, *waits, *owner(None, AGENT, START))[0][0] == "queued"
    assert len(meter.call("candidates_v1", "i", [], 1, [AGENT], 10)) == 1
    assert meter.call("adopt_v1", *known(KEY), None, "b", 1, 7, *taker)
    assert meter.call("sweep_v1", "i", 10, None) == [(1,)]
    assert meter.call("delete_v1", *known(KEY), None) == [(True,)]


def test_a_call_reads_what_it_is_asked_for(crowded: PostgresDatabase) -> None:
    with measured(crowded) as meter:
        play(meter)
    assert {function: rows for function, rows in meter.read.items() if rows > FEW} == {}
    assert meter.read.keys() == CALLS


@pytest.mark.parametrize(
    ("index", "function"),
    [("sessions_ready", "candidates_v1"), ("sessions_owned", "sweep_v1"), ("sessions_by_age", "list_v1")],
)
def test_control_without_its_index_a_function_reads_all(
    crowded: PostgresDatabase, index: LiteralString, function: str
) -> None:
    with psycopg.connect(crowded.superuser_url) as superuser:
        superuser.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        superuser.execute(f"DROP INDEX baton.{index}")
        meter = Meter(superuser)
        play(meter)
        superuser.rollback()
    assert meter.read[function] >= MANY
