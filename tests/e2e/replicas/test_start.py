"""A fleet that is told the wrong things does not start, and says which variable and what to do."""

from pathlib import Path

from tests.e2e.api.starting import refusal
from tests.e2e.replicas.fleet import fleet
from tests.support.services.postgres import postgres
from tests.support.services.redis import shared_server


async def test_an_option_that_the_database_does_not_know(tmp_path: Path) -> None:
    url = postgres().database().url
    line = await refusal(tmp_path, BATON_STORE_URL=f"{url}?nonsense=1")
    assert line.startswith("BATON_STORE_URL: ")
    assert '"nonsense"' in line


async def test_a_direct_address_where_nobody_is(tmp_path: Path) -> None:
    direct = "postgresql://u:geheim@127.0.0.1:1/d"
    line = await refusal(tmp_path, BATON_STORE_URL=postgres().database().url, BATON_DATABASE_DIRECT_URL=direct)
    assert line.startswith("BATON_DATABASE_DIRECT_URL: ")
    assert "geheim" not in line


async def test_another_directory_than_the_other_replicas(tmp_path: Path) -> None:
    store = shared_server().url(shared_server().fresh())
    async with fleet(tmp_path, store):
        line = await refusal(tmp_path, BATON_STORE_URL=store, BATON_DATA_DIR=str(tmp_path / "other"))
    assert line.startswith("BATON_DATA_DIR: ")
