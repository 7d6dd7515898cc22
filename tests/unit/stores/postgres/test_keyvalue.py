"""Values in Postgres: pages by the index, versions in the order of the writes."""

import asyncio

import asyncpg
import pytest

from app.core.ids import TenantId
from app.stores.postgres.database import Database
from app.stores.postgres.keyvalue import PostgresKeyValue
from tests.support.services.postgres import PostgresDatabase

T = TenantId("t")


async def plan(place: PostgresDatabase, statement: str, *arguments: object) -> str:
    """Gives the plans of every statement that the call ran, inside its functions too."""
    told: list[str] = []
    connection = await asyncpg.connect(place.superuser_url)
    try:
        await connection.execute("LOAD 'auto_explain'")
        await connection.execute(
            "SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; "
            "SET auto_explain.log_level = notice; SET ROLE baton_app"
        )
        connection.add_log_listener(lambda _, message: told.append(str(message)))
        await connection.fetch(statement, *arguments)
    finally:
        await connection.close()
    return "\n".join(told)


@pytest.mark.parametrize(("prefix", "cursor"), [(b"", b""), (b"a/", b""), (b"a/", b"a/3000"), (b"", b"b/2")])
async def test_a_page_is_read_by_the_index_however_many_values_there_are(
    place: PostgresDatabase, prefix: bytes, cursor: bytes
) -> None:
    place.run(
        "INSERT INTO baton.keyvalue SELECT t, convert_to(p || '/' || n, 'UTF8'), n, repeat('x', 500)::bytea "
        "FROM unnest('{s,t,u}'::text[]) AS t, unnest('{a,b}'::text[]) AS p, generate_series(1, 3000) AS n"
    )
    place.run("ANALYZE baton.keyvalue")
    told = await plan(place, "SELECT * FROM baton.search_values_v1('t', $1, $2, 10)", prefix, cursor)
    (scan,) = [line for line in told.splitlines() if "on keyvalue" in line]
    assert "Index" in scan
    (condition,) = [line for line in told.splitlines() if "Index Cond" in line]
    assert "key" in condition
    assert "Rows Removed" not in told


async def test_control_a_scan_is_seen(place: PostgresDatabase) -> None:
    assert "Seq Scan on replicas" in await plan(place, "SELECT * FROM baton.replicas WHERE beats = 1")


async def test_of_writes_at_once_the_last_has_the_highest_version(database: Database) -> None:
    values = PostgresKeyValue(database)
    versions = await asyncio.gather(*(values.put(T, "k", b"%d" % number) for number in range(40)))
    stored = await values.get(T, "k")
    assert stored is not None
    assert stored.version == max(versions)
    assert len(set(versions)) == 40


async def test_of_many_at_once_each_increment_counts(database: Database) -> None:
    values = PostgresKeyValue(database)
    done = 0

    async def increment() -> None:
        nonlocal done
        stored = await values.get(T, "n")
        number, version = (int(stored.data), stored.version) if stored else (0, 0)
        await values.put_if_version(T, "n", b"%d" % (number + 1), version)
        done += 1

    for _ in range(10):
        await asyncio.gather(*(increment() for _ in range(4)), return_exceptions=True)
    stored = await values.get(T, "n")
    assert stored is not None
    assert int(stored.data) == done >= 10
