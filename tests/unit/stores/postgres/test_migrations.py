"""`baton migrate`: forward, whole or not at all, once however often it is run."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from app.__main__ import main
from app.core.errors import ConfigError
from app.stores.postgres import migrations
from app.stores.postgres.migrations import migrate
from app.stores.postgres.schema import FOLDER, newest
from tests.support.services.pgbouncer import pooling
from tests.support.services.postgres import OWNER, PostgresDatabase, postgres, run, running

ROOT = Path(__file__).resolve().parents[4]
CATALOG = "SELECT oid, relname, xmin::text FROM pg_class WHERE relnamespace = 'baton'::regnamespace ORDER BY oid"


@pytest.fixture
def empty() -> PostgresDatabase:
    return postgres().database(migrated=False)


def test_an_empty_database_gets_the_newest_schema_and_a_second_time_changes_nothing(empty: PostgresDatabase) -> None:
    assert migrate(empty.owner_url) == newest()
    assert empty.run("SELECT version_num FROM baton.schema_version") == [(newest(),)]
    before = empty.run(CATALOG)
    assert migrate(empty.owner_url) == newest()
    assert empty.run(CATALOG) == before


def test_some_at_once_are_safe(empty: PostgresDatabase) -> None:
    environment = {**os.environ, "BATON_STORE_URL": empty.owner_url}
    command = [sys.executable, "-m", "app", "migrate"]
    running_ones = [subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in running_ones] == [(b"", 0)] * 3
    assert empty.run("SELECT version_num FROM baton.schema_version") == [(newest(),)]


def test_a_migration_that_fails_leaves_nothing(
    empty: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree(FOLDER, tmp_path / "broken")
    (tmp_path / "broken" / "0001" / "99_broken.sql").write_text("CREATE TABLE baton.late (x int); SELECT 1 / 0;")
    monkeypatch.setattr(migrations, "FOLDER", tmp_path / "broken")
    with pytest.raises(Exception, match="division by zero"):
        migrate(empty.owner_url)
    assert empty.run("SELECT 1 FROM pg_namespace WHERE nspname = 'baton'") == []


def test_a_schema_of_a_newer_program_is_left_alone(empty: PostgresDatabase) -> None:
    migrate(empty.owner_url)
    empty.run("UPDATE baton.schema_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match=r"BATON_STORE_URL: .*newer"):
        migrate(empty.owner_url)


def test_a_role_that_may_not_migrate_is_told(empty: PostgresDatabase) -> None:
    with pytest.raises(ConfigError, match=r"BATON_DATABASE_DIRECT_URL: its role may not migrate .*owner"):
        migrate(empty.url, "BATON_DATABASE_DIRECT_URL")


def test_a_role_that_may_not_create_roles_is_told_what_to_run() -> None:
    with running() as server:
        place = server.database(migrated=False)
        place.run("ALTER ROLE baton_owner NOCREATEROLE")
        with pytest.raises(ConfigError, match="a superuser must run: CREATE ROLE baton_app NOLOGIN"):
            migrate(place.owner_url)
        place.run("CREATE ROLE baton_app NOLOGIN")
        assert migrate(place.owner_url) == newest()


def test_a_pooler_is_no_obstacle_or_is_named(empty: PostgresDatabase) -> None:
    with pooling(empty.server, connections=1) as pooler:
        told: list[str] = []
        for _ in range(2):
            try:
                migrate(pooler.url(empty, OWNER))
            except ConfigError as error:
                told.append(str(error))
    assert [message for message in told if "set BATON_DATABASE_DIRECT_URL" not in message] == []


@pytest.mark.parametrize(
    "url", ["postgresql://u:geheim@127.0.0.1:1/d", "postgresql://u:geheim@{place}/nowhere", "postgresql://@:x/d"]
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^BATON_STORE_URL: ") as caught:
        migrate(url.replace("{place}", f"127.0.0.1:{postgres().port}"))
    assert "geheim" not in str(caught.value)


def test_the_command_says_what_it_did_and_nothing_else(
    empty: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATON_STORE_URL", empty.owner_url)
    for _ in range(2):
        assert main(["migrate"]) == 0
        assert tuple(capfd.readouterr()) == (f"baton: the database has schema {newest()}\n", "")


def test_the_command_prefers_the_direct_address(
    empty: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATON_STORE_URL", "postgresql://u@127.0.0.1:1/d")
    assert main(["migrate"]) == 2
    assert capfd.readouterr().err.startswith("baton: BATON_STORE_URL: ")
    monkeypatch.setenv("BATON_DATABASE_DIRECT_URL", empty.owner_url)
    assert main(["migrate"]) == 0
    monkeypatch.setenv("BATON_DATABASE_DIRECT_URL", "postgresql://u@127.0.0.1:1/d")
    assert main(["migrate"]) == 2
    assert capfd.readouterr().err.startswith("baton: BATON_DATABASE_DIRECT_URL: ")


@pytest.mark.parametrize("url", ["sqlite:///x.db", "memory://", "redis://127.0.0.1:1/0"])
def test_other_stores_need_no_command(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATON_STORE_URL", url)
    assert main(["migrate"]) == 0
    assert "nothing to do" in capfd.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_server_does_not_import_what_only_migrations_need() -> None:
    code = "import sys, app.stores.postgres.stores; print({'alembic', 'sqlalchemy', 'mako'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_every_migration_goes_forward_only() -> None:
    for file in (FOLDER / "versions").glob("*.py"):
        assert "downgrade" not in file.read_text()


def test_logging_is_left_as_it_was(empty: PostgresDatabase) -> None:
    handlers, level = list(logging.root.handlers), logging.root.level
    migrate(empty.owner_url)
    assert (logging.root.handlers, logging.root.level) == (handlers, level)
    assert run(empty.owner_url, "SELECT count(*) FROM baton.schema_version") == [(1,)]
