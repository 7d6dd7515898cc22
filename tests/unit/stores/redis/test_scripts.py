from pathlib import Path

import pytest

from app.stores.redis.scripts import load_scripts
from tests.support.services.redis import RedisServer

SCRIPTS = load_scripts()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_known_to_the_server_by_the_digest_that_we_compute(server: RedisServer, name: str) -> None:
    script = SCRIPTS[name]
    assert server.ask("SCRIPT LOAD", script.text) in (script.digest, script.digest.encode())


def test_an_include_stands_for_its_text(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "one.lua").write_text("local one = 1\n")
    (tmp_path / "it.lua").write_text("-- include: one\nreturn one\n")
    (tmp_path / "bare.lua").write_text("return 2 -- include: one\n")
    scripts = load_scripts(tmp_path)
    assert {name: script.text for name, script in scripts.items()} == {
        "it": "local one = 1\n\nreturn one\n",
        "bare": "return 2 -- include: one\n",
    }


def test_an_include_of_nothing_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "it.lua").write_text("-- include: one\n")
    with pytest.raises(FileNotFoundError):
        load_scripts(tmp_path)
