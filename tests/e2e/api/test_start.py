"""The start and the end of the process: what it says, and what stops it with one line that names the fix."""

import asyncio
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.api.starting import command, refusal
from tests.support.server import running

KEY = "sk-secret-0123456789abcdef"


async def test_the_greeting_names_address_model_and_how_to_add_a_key(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        greeting = (tmp_path / "stdout.1").read_text()
        assert f"Baton serves http://127.0.0.1:{server.port}" in greeting
        assert "offline:offline" in greeting
        assert "OPENAI_API_KEY" in greeting
        assert ".env" in greeting
        assert await asyncio.to_thread(server.stop) == 0
        assert "Traceback" not in server.stderr


async def test_with_a_key_the_greeting_names_the_model_and_never_the_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\nBATON_MODEL=openai:gpt-test\n")
    async with running(tmp_path) as server:
        greeting = (tmp_path / "stdout.1").read_text()
        assert "openai:gpt-test" in greeting
        assert "No key is set" not in greeting
        assert KEY not in greeting + server.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_ends_it_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    async with running(tmp_path) as server:
        assert await asyncio.to_thread(server._end, number) == 0
        assert "Traceback" not in server.stderr


AGENTS = {
    "no-yaml": ("agent.yaml", "tools: [read_file"),
    "unknown-key": ("agent.yaml", "tols: []"),
    "unknown-tool": ("agent.yaml", "tools: [read_flie]"),
    "unknown-model": ("agent.yaml", "model: nobody:x"),
    "wrong-type": ("agent.yaml", "limits: {steps: many}"),
    "list": ("agent.yaml", "- a"),
}


@pytest.mark.parametrize("name", AGENTS)
async def test_a_broken_agent_file_stops_the_start(tmp_path: Path, name: str) -> None:
    file, text = AGENTS[name]
    folder = tmp_path / "agents" / "helper"
    folder.mkdir(parents=True)
    (folder / "AGENTS.md").write_text("You help.")
    (folder / file).write_text(text)
    line = await refusal(tmp_path, BATON_AGENTS_DIR=str(tmp_path / "agents"))
    assert f"helper/{file}:1" in line


async def test_a_file_that_is_no_text_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "agents" / "helper"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("{}")
    (folder / "AGENTS.md").write_bytes(b"caf\xe9")
    assert "helper/AGENTS.md" in await refusal(tmp_path, BATON_AGENTS_DIR=str(tmp_path / "agents"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BATON_STORE_URL", "postgres://db/x"),
        ("BATON_STORE_URL", "sqlite://"),
        ("BATON_HOST", "0.0.0.0"),
        ("BATON_HOST", "::"),
        ("BATON_PORT", "http"),
        ("BATON_PORT", "70000"),
        ("BATON_MODEL", "gpt"),
        ("BATON_MODEL", "openai:gpt-test"),
        ("BATON_MAX_RUNS", "0"),
        ("BATON_LOG_LEVEL", "loud"),
        ("BATON_CORS_ORIGINS", "*"),
        ("BATON_CORS_ORIGINS", "chat.example"),
        ("OPENAI_BASE_URL", "localhost:11434"),
    ],
)
async def test_a_setting_that_cannot_be_meant_stops_the_start(tmp_path: Path, variable: str, value: str) -> None:
    arguments = ("--port", "0") if variable != "BATON_PORT" else ("--host", "127.0.0.1")
    assert (await refusal(tmp_path, *arguments, **{variable: value})).startswith(f"{variable}: ")


async def test_a_misspelt_variable_stops_the_start(tmp_path: Path) -> None:
    line = await refusal(tmp_path, BATON_MODLE="offline:offline")
    assert line == "BATON_MODLE: there is no such setting; did you mean BATON_MODEL?"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BATON_KEYS_FILE", "absent.yaml"),
        ("BATON_KEYS_FILE", "file"),
        ("BATON_AGENTS_DIR", "absent"),
        ("BATON_DATA_DIR", "file"),
        ("BATON_DATA_DIR", "file/below"),
        ("BATON_STORE_URL", "sqlite:///file/below.db"),
        ("BATON_STORE_URL", "sqlite:///file"),
    ],
)
async def test_files_that_cannot_be_used_stop_the_start(tmp_path: Path, variable: str, value: str) -> None:
    (tmp_path / "file").write_text("- {sha256: x, tenant: a}")
    line = await refusal(tmp_path, **{variable: value})
    assert value.rpartition("///")[2].partition("/")[0] in line


async def test_a_second_process_on_the_same_data_stops(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        line = await refusal(tmp_path, BATON_DATA_DIR=str(server.data_dir))
        assert str(server.pid) in line
        assert server.is_running()


async def test_the_data_of_another_deployment_stops_the_start(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/shared.db"
    async with running(tmp_path / "one", BATON_STORE_URL=database):
        pass
    line = await refusal(tmp_path, BATON_STORE_URL=database, BATON_DATA_DIR=str(tmp_path / "two"))
    assert line.startswith("BATON_DATA_DIR: ")


async def test_a_port_in_use_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        line = await refusal(tmp_path, "--port", str(port))
    assert line.startswith("BATON_PORT: ")
    assert str(port) in line


async def test_the_command_line_explains_itself(tmp_path: Path) -> None:
    assert "serve" in (await command(tmp_path, "--help")).stdout
    for wrong in ((), ("dance",), ("serve", "--prot", "1")):
        ending = await command(tmp_path, *wrong)
        assert (ending.code, ending.stdout) == (2, "")
        assert "Traceback" not in ending.stderr
