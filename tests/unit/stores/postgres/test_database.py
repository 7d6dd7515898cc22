"""The pool: bounded, unharmed by whatever becomes of a call, without state; and one round trip per call."""

import asyncio
import traceback

import asyncpg
import pytest

from app.core.errors import BatonError, ConfigError, InvalidInput, StoreUnavailable
from app.stores.postgres import database as pooling_module
from app.stores.postgres.database import Database, open_database
from tests.support.services.pgbouncer import pooling
from tests.support.services.postgres import PostgresDatabase, postgres, running
from tests.unit.stores.postgres.blocking import KEY, TENANT, held
from tests.unit.stores.postgres.wire import counting

ANSWERS = 10.0
"""Seconds in which what must not hang has answered."""


async def put(database: Database, key: bytes = KEY, tenant: str = TENANT) -> int:
    async with asyncio.timeout(ANSWERS):
        (row,) = await database.call("put_value_v1", tenant, key, b"new")
    return row["version"]


async def get(database: Database, key: bytes = KEY) -> bytes | None:
    async with asyncio.timeout(ANSWERS):
        row = await database.row("get_value_v1", TENANT, key)
    return row["data"] if row is not None else None


@pytest.mark.parametrize(("pooled", "trips"), [(False, 1), (True, 2)])
async def test_a_warm_call_is_one_round_trip(place: PostgresDatabase, pooled: bool, trips: int) -> None:
    """Without prepared statements, as a transaction pooler wants it, it is two: describe, then execute."""
    async with counting(place.server.port) as wire, open_database(wire.url(place), pool=1, pooled=pooled) as database:
        counted: list[int] = []
        for _ in range(5):
            before = wire.trips
            await put(database)
            counted.append(wire.trips - before)
        assert counted[1:] == [trips] * 4
        assert counted[0] >= trips


async def test_trap_a_lack_of_connections_that_nobody_was_told_of(place: PostgresDatabase) -> None:
    """Waiting for a connection is bounded, and says so, where a peer failed half its streams with status 200."""
    async with open_database(place.url, pool=1, wait=0.2) as database, held(place) as row:
        task = asyncio.ensure_future(put(database))
        await row.waiting(1)
        with pytest.raises(
            StoreUnavailable, match=r"no free connection to Postgres after 0\.2 s; raise BATON_STORE_POOL"
        ):
            await get(database)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await get(database) == b""


async def test_no_more_connections_are_opened_than_were_allowed(place: PostgresDatabase) -> None:
    async with open_database(place.url, pool=3) as database:
        await asyncio.gather(*(put(database, b"%d" % number) for number in range(50)))
        assert place.run(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'baton_server' AND datname = %s", place.name
        ) == [(3,)]


async def test_a_cancelled_call_wrote_nothing_and_harms_no_connection(place: PostgresDatabase) -> None:
    async with open_database(place.url, pool=1) as database:
        async with held(place) as row:
            for _ in range(5):
                task = asyncio.ensure_future(put(database))
                await row.waiting(1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await get(database) == b""
        assert await put(database) > 0


async def test_callers_that_are_cancelled_at_any_moment_take_no_connection_with_them(place: PostgresDatabase) -> None:
    async with open_database(place.url, pool=2) as database:
        for pause in range(60):
            tasks = [asyncio.ensure_future(put(database, b"%d" % number)) for number in range(6)]
            for _ in range(pause % 20):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert len(set(await asyncio.gather(*(put(database) for _ in range(10))))) == 10


async def test_a_call_that_hangs_is_given_up(place: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling_module, "COMMAND_SECONDS", 0.2)
    async with open_database(place.url, pool=1) as database, held(place) as row:
        with pytest.raises(StoreUnavailable, match="in time"):
            await put(database)
        await row.waiting(0)
        assert await get(database) == b""


async def test_a_network_that_swallows_everything_holds_nobody_up(place: PostgresDatabase) -> None:
    """Neither a cancelled call nor the end waits for an answer that does not come; a heartbeat relies on it."""
    async with counting(place.server.port) as wire:
        async with asyncio.timeout(2 * ANSWERS), open_database(wire.url(place), pool=1) as database:
            await put(database)
            wire.flowing.clear()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await database.call("live_v1", None)
            wire.flowing.set()
            assert await get(database) == b"new"
            wire.flowing.clear()
        wire.flowing.set()


async def test_a_connection_that_is_cut_under_a_call_is_replaced(place: PostgresDatabase) -> None:
    async with open_database(place.url, pool=1) as database, held(place) as row:
        task = asyncio.ensure_future(put(database))
        await row.waiting(1)
        await row.cut()
        with pytest.raises(StoreUnavailable):
            await task
        assert await get(database) == b""


async def test_a_server_that_comes_back_is_found_again() -> None:
    with running(durable=True) as server:
        place = server.database()
        async with open_database(place.url, pool=2) as database:
            version = await put(database)
            server.kill()
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    await get(database)
            server.start()
            assert await get(database) == b"new"
            assert await put(database) > version


@pytest.mark.parametrize("state", ["serialization_failure", "deadlock_detected"])
@pytest.mark.parametrize("times", [1, 2])
async def test_what_the_database_undid_by_itself_is_tried_once_more(
    place: PostgresDatabase, database: Database, state: str, times: int
) -> None:
    place.run("CREATE SEQUENCE public.attempts")
    place.run("GRANT USAGE ON SEQUENCE public.attempts TO PUBLIC")
    place.run(
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # pyright: ignore[reportArgumentType]
        f"IF nextval('public.attempts') <= {times} THEN RAISE {state}; END IF; RETURN NEW; END $$"
    )
    place.run("CREATE TRIGGER fail BEFORE INSERT ON baton.keyvalue FOR EACH ROW EXECUTE FUNCTION public.fail()")
    if times == 1:
        assert await put(database) > 0
    else:
        with pytest.raises(StoreUnavailable):
            await put(database)
        assert await get(database) is None


async def test_trap_locks_held_with_a_pooled_connection(place: PostgresDatabase) -> None:
    """Between two calls a connection is in no transaction and holds neither a lock nor a tenant."""
    async with open_database(place.url, pool=1) as database:
        await put(database)
        mine = "usename = 'baton_server' AND datname = current_database()"
        assert place.run(f"SELECT state FROM pg_stat_activity WHERE {mine}") == [("idle",)]
        assert place.run(f"SELECT locktype FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE {mine}") == []
        async with database._pool.acquire() as connection:
            assert await connection.fetchval("SELECT nullif(current_setting('baton.tenant', true), '')") is None
            assert await connection.fetchval("SELECT count(*) FROM baton.keyvalue") == 0


async def test_a_name_that_cannot_be_stored_is_the_callers_mistake(database: Database) -> None:
    with pytest.raises(InvalidInput, match=r"U\+0000"):
        await put(database, tenant="a\x00b")


async def test_the_many_share_few_connections_behind_a_pooler(place: PostgresDatabase) -> None:
    with pooling(place.server) as pooler:
        async with open_database(pooler.url(place), pool=40, pooled=True) as database:
            tenants = [f"tenant {number % 7}" for number in range(200)]
            await asyncio.gather(*(put(database, b"%d" % n, tenant) for n, tenant in enumerate(tenants)))
            found = await database.call("search_values_v1", "tenant 3", b"", b"", 1000)
            assert {int(row["key"]) % 7 for row in found} == {3}
        connections = place.run(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'baton_server' AND datname = %s", place.name
        )
        assert 1 <= connections[0][0] <= 3


async def test_a_cancelled_call_harms_no_connection_behind_a_pooler(place: PostgresDatabase) -> None:
    with pooling(place.server, connections=1) as pooler:
        async with open_database(pooler.url(place), pool=1, pooled=True) as database, held(place) as row:
            task = asyncio.ensure_future(put(database))
            await row.waiting(1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await get(database) == b""


async def test_trap_prepared_statements_behind_a_pooler(place: PostgresDatabase) -> None:
    """A connection of many clients knows the prepared statements of others, and not one's own."""
    with pooling(place.server) as pooler:

        async def outcomes(*, pooled: bool) -> list[bytes | BaseException | None]:
            async with open_database(pooler.url(place), pool=8, pooled=pooled) as database:
                return await asyncio.gather(*(get(database, b"%d" % n) for n in range(300)), return_exceptions=True)

        assert any(isinstance(outcome, asyncpg.PostgresError) for outcome in await outcomes(pooled=False))
        assert await outcomes(pooled=True) == [None] * 300


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("postgresql://u:geheim@127.0.0.1:1/d", StoreUnavailable),
        ("postgresql://u:geheim@127.0.0.1:port/d", ConfigError),
        ("postgresql://u:geheim@127.0.0.1:1/d?sslmode=nonsense", ConfigError),
        ("postgresql://u:geheim@{place}/nowhere", ConfigError),
        ("postgresql://nobody:geheim@{place}/postgres", ConfigError),
        ("postgresql://postgres:geheim@{place}/postgres?nonsense=1", ConfigError),
        ("postgresql://postgres:geheim@{place}/postgres?statement_timeout=nonsense", ConfigError),
        ("postgresql://postgres:geheim@{place}/postgres?shared_buffers=1", ConfigError),
    ],
)
async def test_what_is_wrong_with_an_address_is_said_without_its_password(address: str, kind: type[BatonError]) -> None:
    url = address.replace("{place}", f"127.0.0.1:{postgres().port}")
    with pytest.raises(kind) as caught:
        async with open_database(url, variable="BATON_DATABASE_DIRECT_URL"):
            pass
    told = "".join(traceback.format_exception(caught.value))
    assert "geheim" not in told
    assert kind is not ConfigError or str(caught.value).startswith("BATON_DATABASE_DIRECT_URL: ")
