"""What is looked at when the server starts: the schema, the server, the role, and who stands between."""

import logging
from pathlib import Path

import pytest

from app.core.errors import ConfigError
from app.stores.postgres import schema
from app.stores.postgres.database import open_database
from app.stores.postgres.schema import check, check_direct, newest
from app.testing.clock import ManualClock
from tests.support.services.pgbouncer import pooling
from tests.support.services.postgres import PostgresDatabase, postgres, run


async def checked(url: str, direct_url: str | None = None) -> None:
    """Opens a database as the server does."""
    async with open_database(url, pool=2, pooled=direct_url is not None) as database:
        await check_direct(database, url, direct_url)
        await check(database)


async def test_a_migrated_database_is_served(place: PostgresDatabase, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await checked(place.url)
        await checked(place.url, place.url)
    assert caplog.messages == []


async def test_a_database_without_baton_says_what_to_run() -> None:
    empty = postgres().database(migrated=False)
    with pytest.raises(ConfigError, match=r"BATON_STORE_URL: .* run `baton migrate`"):
        await checked(empty.url)


@pytest.mark.parametrize(
    ("found", "fix"), [("0000", "run `baton migrate`"), ("9999", "use a newer program"), (None, "run `baton migrate`")]
)
async def test_another_schema_is_refused(place: PostgresDatabase, found: str | None, fix: str) -> None:
    place.run("DELETE FROM baton.schema_version")
    if found is not None:
        place.run("INSERT INTO baton.schema_version VALUES (%s)", found)
    with pytest.raises(ConfigError, match=f"BATON_STORE_URL: .*{fix}"):
        await checked(place.url)


async def test_a_role_that_was_not_let_in_says_what_to_run(place: PostgresDatabase) -> None:
    place.run("DROP ROLE IF EXISTS baton_stranger")
    place.run("CREATE ROLE baton_stranger LOGIN")
    with pytest.raises(ConfigError, match=r"BATON_STORE_URL: .*GRANT baton_app TO"):
        await checked(place.server.url(place.name, "baton_stranger"))


async def test_an_old_server_is_refused(place: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "OLDEST_SERVER", 99)
    with pytest.raises(ConfigError, match=r"BATON_STORE_URL: that is PostgreSQL \d\d; Baton needs 99"):
        await checked(place.url)


@pytest.mark.parametrize("role", ["baton_owner", "postgres"])
async def test_a_role_that_row_level_security_does_not_bind_is_warned_of(
    place: PostgresDatabase, caplog: pytest.LogCaptureFixture, role: str
) -> None:
    with caplog.at_level(logging.WARNING):
        await checked(place.server.url(place.name, role))
    (message,) = caplog.messages
    assert role in message
    assert "GRANT baton_app" in message


async def test_a_pooler_without_a_direct_address_is_found_out(
    place: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "HEARD_SECONDS", 1.0)
    with pooling(place.server) as pooler:
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"BATON_STORE_URL: .* set BATON_DATABASE_DIRECT_URL"):
                await checked(pooler.url(place))
        await checked(pooler.url(place), place.url)


async def test_a_direct_address_that_is_none_is_found_out(
    place: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "HEARD_SECONDS", 1.0)
    elsewhere = postgres().database()
    with pooling(place.server) as pooler:
        for wrong in (pooler.url(place), elsewhere.url):
            with pytest.raises(ConfigError, match=r"BATON_DATABASE_DIRECT_URL: .* same database"):
                await checked(pooler.url(place), wrong)
        with pytest.raises(ConfigError, match="BATON_DATABASE_DIRECT_URL: the database does not answer"):
            await checked(pooler.url(place), "postgresql://u@127.0.0.1:1/d")
        with pytest.raises(ConfigError, match="BATON_DATABASE_DIRECT_URL: "):
            await checked(pooler.url(place), place.server.url("nowhere"))


def test_the_newest_version_is_that_of_the_newest_migration(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    for name in ("0002_second.py", "0010_tenth.py", "0001_first.py"):
        (tmp_path / "versions" / name).touch()
    assert newest(tmp_path) == "0010"
    assert newest() >= "0001"


async def test_the_store_opens(place: PostgresDatabase) -> None:
    """What it opens works, the heartbeat's own connection included, and leaves no connection behind."""
    from app.core.ids import Incarnation, TenantId
    from app.stores.postgres.stores import open_postgres

    async with open_postgres(place.url, ManualClock()) as stores:
        assert await stores.keyvalue.put(TenantId("t"), "k", b"v") > 0
        assert stores.pulse is not None
        async with stores.pulse() as replicas:
            await replicas.beat(Incarnation("one"))
        assert [beat.incarnation for beat in await stores.replicas.live()] == ["one"]
    left = run(
        place.server.url("postgres"),
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'active'",
        place.name,
    )
    assert left == [(0,)]
