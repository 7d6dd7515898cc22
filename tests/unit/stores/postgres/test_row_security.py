"""Row-level security: a forgotten WHERE shows and changes nothing of another tenant. Proven by raw queries.

The tables come from the catalog, so that a new one without its policy fails here.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, UniqueViolation
from psycopg.sql import SQL, Composed, Identifier, Placeholder

from tests.support.services.postgres import PostgresDatabase, postgres

MINE, THEIRS = "tenant a", "tenant b"
OPEN = {"replicas", "schema_version"}
"""Tables about this program and its processes, not about anybody's data."""
CLOSED = {"parcels"}
"""Tables of no tenant that are for nobody to look into."""
CROSSING = {"candidates_v1", "collect_blobs_v1", "contended", "sweep_v1"}
"""Functions that cross tenants: they give keys and counts, never what is stored."""
COLLECTING = {"collect_parcel_v1", "leave_parcel_v1"}
"""Functions of a closed table: they give one row to who knows its name."""
SAMPLES: dict[str, Any] = {
    "text": "x",
    "bigint": 1,
    "integer": 1,
    "smallint": 1,
    "double precision": 1.0,
    "bytea": b"x",
    "boolean": True,
    "text[]": [],
    "jsonb": "{}",
}

Login = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def login(place: PostgresDatabase, tenant: str | None = None) -> Generator[Login]:
    """Gives the server's login in a transaction for that tenant, or for none; what it did is undone."""
    with psycopg.connect(place.url) as connection:
        if tenant is not None:
            connection.execute("SELECT set_config('baton.tenant', %s, true)", [tenant])
        yield connection
        connection.rollback()


def tables(place: PostgresDatabase, *, with_tenant: bool) -> set[str]:
    """Gives the tables of the schema that have a column for the tenant, or those that have none."""
    rows = place.run(
        """
        SELECT c.relname, EXISTS (SELECT 1 FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant')
        FROM pg_class AS c WHERE c.relnamespace = 'baton'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        """
    )
    return {name for name, has_tenant in rows if has_tenant is with_tenant}


def columns(place: PostgresDatabase, table: str) -> dict[str, str]:
    """Gives the columns that must be given, with their types."""
    rows = place.run(
        """
        SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
        WHERE attrelid = %s::regclass AND attnum > 0 AND attnotnull AND NOT atthasdef AND attidentity = ''
        """,
        f"baton.{table}",
    )
    return dict(rows)


def insertion(place: PostgresDatabase, table: str, tenant: str) -> tuple[Composed, list[Any]]:
    """Gives a statement that puts a row of that tenant into the table, and its arguments."""
    needed = columns(place, table)
    values = {name: tenant if SAMPLES[kind] == "x" else SAMPLES[kind] for name, kind in needed.items()}
    if tenant == THEIRS:
        values |= {name: 2 for name, kind in needed.items() if kind == "bigint"}
    names = SQL(", ").join(map(Identifier, values))
    places = SQL(", ").join([Placeholder()] * len(values))
    statement = SQL("INSERT INTO baton.{} ({}) VALUES ({})").format(Identifier(table), names, places)
    return statement, list(values.values())


def seen(connection: Login, table: str) -> list[str]:
    """Gives the tenants of the rows that a query without a WHERE gives."""
    found = connection.execute(SQL("SELECT tenant FROM baton.{} ORDER BY tenant").format(Identifier(table)))
    return [tenant for (tenant,) in found]


def breaches(place: PostgresDatabase, table: str) -> list[str]:
    """Gives what the server's login can do in that table, which holds a row of either tenant, but must not."""
    name = Identifier(table)
    found: list[str] = []
    with login(place) as connection:
        if seen(connection, table):
            found.append("sees rows without a tenant")
    with login(place, "") as connection:
        if seen(connection, table):
            found.append("sees rows with an empty tenant")
    with login(place, MINE) as connection:
        if seen(connection, table) != [MINE]:
            found.append("sees another tenant's rows, or not its own")
        if connection.execute(SQL("DELETE FROM baton.{}").format(name)).rowcount != 1:
            found.append("deletes another tenant's rows")
    statement, arguments = insertion(place, table, THEIRS)
    for what, change, given in (
        ("inserts a row of another tenant", statement, arguments),
        ("gives a row away", SQL("UPDATE baton.{} SET tenant = %s").format(name), [THEIRS]),
    ):
        with login(place, MINE) as connection:
            try:
                connection.execute(change, given)
                found.append(what)
            except UniqueViolation:
                found.append(what)
            except InsufficientPrivilege:
                pass
    return found


@pytest.fixture(scope="module")
def furnished() -> PostgresDatabase:
    """A database in which every table with a tenant has a row of either."""
    place = postgres().database()
    with psycopg.connect(place.owner_url) as owner:
        for table in tables(place, with_tenant=True):
            for tenant in (MINE, THEIRS):
                owner.execute(*insertion(place, table, tenant))
    return place


def test_a_tenant_sees_and_changes_its_own_rows_only(furnished: PostgresDatabase) -> None:
    found = {table: breaches(furnished, table) for table in tables(furnished, with_tenant=True)}
    assert {table: faults for table, faults in found.items() if faults} == {}
    assert {"sessions", "entries", "checkpoints", "runs", "keyvalue", "blobs"} <= found.keys()


def test_control_the_rows_are_there(furnished: PostgresDatabase) -> None:
    with psycopg.connect(furnished.owner_url) as owner:
        for table in tables(furnished, with_tenant=True):
            assert seen(owner, table) == [MINE, THEIRS]


@pytest.mark.parametrize(
    "mutation",
    [
        "ALTER TABLE baton.keyvalue DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY oops ON baton.keyvalue USING (true)",
        "ALTER POLICY own_tenant ON baton.keyvalue WITH CHECK (true)",
        "ALTER ROLE baton_server BYPASSRLS",
    ],
)
def test_control_a_policy_that_is_missing_is_found(furnished: PostgresDatabase, mutation: Any) -> None:
    with psycopg.connect(furnished.superuser_url) as superuser:
        superuser.execute(mutation)
        superuser.commit()
        try:
            assert breaches(furnished, "keyvalue") != []
        finally:
            for repair in (
                "ALTER TABLE baton.keyvalue ENABLE ROW LEVEL SECURITY",
                "DROP POLICY IF EXISTS oops ON baton.keyvalue",
                "ALTER POLICY own_tenant ON baton.keyvalue WITH CHECK (tenant = current_setting('baton.tenant', true))",
                "ALTER ROLE baton_server NOBYPASSRLS",
            ):
                superuser.execute(repair)
    assert breaches(furnished, "keyvalue") == []


def test_every_table_has_a_tenant_or_is_known_to_have_none(furnished: PostgresDatabase) -> None:
    assert tables(furnished, with_tenant=False) == OPEN | CLOSED


@pytest.mark.parametrize("table", CLOSED)
def test_a_closed_table_shows_nothing(furnished: PostgresDatabase, table: str) -> None:
    everything = SQL("SELECT count(*) FROM baton.{}").format(Identifier(table))
    with psycopg.connect(furnished.owner_url) as owner:
        owner.execute(*insertion(furnished, table, MINE))
        assert owner.execute(everything).fetchall() == [(1,)]
    for tenant in (None, "", MINE):
        with login(furnished, tenant) as connection:
            assert connection.execute(everything).fetchall() == [(0,)]


def test_the_login_owns_nothing_and_cannot_change_the_schema(furnished: PostgresDatabase) -> None:
    owners = furnished.run(
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'baton'::regnamespace"
    )
    assert owners == [("baton_owner",)]
    for refused in (
        "CREATE TABLE baton.x (y int)",
        "ALTER TABLE baton.keyvalue DISABLE ROW LEVEL SECURITY",
        "DROP FUNCTION baton.beat_v1",
        "UPDATE baton.schema_version SET version_num = '0'",
        "TRUNCATE baton.keyvalue",
    ):
        with login(furnished, MINE) as connection, pytest.raises(InsufficientPrivilege):
            connection.execute(refused)


def test_functions_are_closed_and_look_nowhere_else(furnished: PostgresDatabase) -> None:
    """Nobody but the server's role may call one; none finds a name in a schema that others write to."""
    functions = furnished.run(
        """
        SELECT proname, prosecdef, has_function_privilege('public', oid, 'EXECUTE'), coalesce(proconfig::text, '')
        FROM pg_proc WHERE pronamespace = 'baton'::regnamespace
        """
    )
    assert len(functions) > 10
    assert {name for name, _, public, _ in functions if public} == set()
    assert {name for name, crossing, _, config in functions if crossing and "search_path" not in config} == set()
    assert {name for name, crossing, _, _ in functions if crossing} == CROSSING | COLLECTING
