"""The composition root: what it opens, what it refuses, and that it closes everything again."""

import shutil
from pathlib import Path

import pytest

from app.bootstrap import open_server
from app.core.errors import ConfigError, Forbidden, Unauthenticated
from app.settings import Settings, load

ROOT = Path(__file__).parents[3]


def settings(home: Path, **more: object) -> Settings:
    """Gives settings that keep everything under `home`."""
    given = {"BATON_DATA_DIR": home / "data", "BATON_AGENTS_DIR": ROOT / "agents", "BATON_MODEL": "offline:offline"}
    return load(**(given | more))


async def test_a_server_can_be_opened_again_on_its_data(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_server(settings(tmp_path)) as server:
            assert server.engine.ready()
            assert set(server.services.models) >= {"offline", "openai", "anthropic"}


async def test_a_store_beside_foreign_workspaces_is_refused(tmp_path: Path) -> None:
    async with open_server(settings(tmp_path)):
        pass
    other = tmp_path / "other"
    async with open_server(settings(other)):
        pass
    shutil.copy(tmp_path / "data" / "baton.db", other / "data" / "baton.db")
    with pytest.raises(ConfigError, match="BATON_DATA_DIR"):
        async with open_server(settings(other)):
            pass


async def test_a_store_that_lost_its_data_directory_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    async with open_server(settings(tmp_path, BATON_STORE_URL=url)):
        pass
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(ConfigError, match="workspaces of another deployment"):
        async with open_server(settings(tmp_path, BATON_STORE_URL=url)):
            pass


async def test_without_keys_only_this_machine_is_served(tmp_path: Path) -> None:
    async with open_server(settings(tmp_path, BATON_STORE_URL="memory://")) as server:
        assert server.authenticator.authenticate({"host": "localhost:8000"}).tenant == "default"
        with pytest.raises(Forbidden):
            server.authenticator.authenticate({"host": "evil.example"})


async def test_with_a_keys_file_callers_need_a_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- sha256: {'ab' * 32}\n  tenant: acme\n")
    async with open_server(settings(tmp_path, BATON_STORE_URL="memory://", BATON_KEYS_FILE=keys)) as server:
        with pytest.raises(Unauthenticated):
            server.authenticator.authenticate({"host": "localhost:8000", "authorization": "Bearer guess"})


async def test_a_broken_keys_file_stops_the_start_and_leaves_nothing_open(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("- nonsense")
    with pytest.raises(ConfigError, match=r"keys\.yaml"):
        async with open_server(settings(tmp_path, BATON_KEYS_FILE=keys)):
            pass
    async with open_server(settings(tmp_path)) as server:
        assert server.engine.ready()
