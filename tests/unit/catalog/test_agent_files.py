"""Agents as their files describe them; what is misspelt is an error with file, line and reason."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.agents import AgentSpec, Limits
from app.core.errors import ConfigError
from app.core.ids import AgentId
from app.engine.agent_files import AgentSettings
from app.engine.catalog import AgentCatalog
from tests.unit.catalog.conftest import Write

Catalogs = Callable[[], AgentCatalog]
HELPER = AgentId("helper")

EVERYTHING = """\
model: openai:some/model:free
tools: [read_file, write_file]
in_doubt: tell_model
max_tokens: 500
limits:
  steps: 7
  seconds: 30
  tokens: 1000
  context_messages: 20
"""


def test_every_key_counts(catalog: Catalogs, write: Write) -> None:
    write("helper/agent.yaml", EVERYTHING)
    spec = catalog().get(HELPER)
    assert spec == AgentSpec(
        id=HELPER,
        digest=spec.digest,
        instructions="You help.",
        model="openai:some/model:free",
        tools=("read_file", "write_file"),
        max_tokens=500,
        limits=Limits(steps=7, seconds=30, tokens=1000, context_messages=20),
    )


@pytest.mark.parametrize("text", ["", "# all of it is optional\n", "{}\n"])
def test_every_key_is_optional(catalog: Catalogs, write: Write, text: str) -> None:
    write("helper/agent.yaml", text)
    spec = catalog().get(HELPER)
    assert (spec.model, spec.tools, spec.limits) == (None, None, Limits())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tools: [read_file]\nmodle: offline:offline\n", ":2: modle: Object contains unknown field"),
        ("limits:\n  step: 3\n", ":2: limits.step: "),
        ("tools:\n- read_file\n- delete_all\n", ":3: tools.1: there is no tool 'delete_all'; there are read_file, w"),
        ("tools: read_file\n", ":1: tools: "),
        ("\nmodel: gpt-5\n", ":2: model: write it as provider:model"),
        ("model: 'openai: '\n", ":1: model: write it as provider:model"),
        ("model: openia:gpt-5\n", ":1: model: there is no provider 'openia'; there are offline, openai"),
        ("limits:\n  steps: 0\n", ":2: limits.steps: it must be a number above 0"),
        ("limits:\n  seconds: .inf\n", ":2: limits.seconds: "),
        ("limits:\n  seconds: .nan\n", ":2: limits.seconds: "),
        ("max_tokens: -1\n", ":1: max_tokens: "),
        ("in_doubt: run_again\n", ":1: in_doubt: "),
        ("tools: [read_file\nmodel: x\n", ":2: "),
        ("- tools\n", ":1: "),
        ("tools: [read_file]\ntools: [write_file]\n", ":2: tools is there twice"),
    ],
)
def test_trap_broken_file_fails_open(catalog: Catalogs, write: Write, text: str, reason: str) -> None:
    """A file of tools that could not be parsed allowed all tools; here it stops the start."""
    path = write("helper/agent.yaml", text)
    with pytest.raises(ConfigError) as caught:
        catalog()
    assert str(caught.value).startswith(f"{path}{reason}")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("helper/AGENTS.md", " \n\n", ":1: it is empty"),
        ("helper/AGENTS.md", b"good\nb\xffad\n", ":2: it is not UTF-8"),
        ("helper/AGENTS.md", "x" * 300_000, ": 300000 bytes are too many"),
        ("helper/agent.yaml", b"\xff\xfe", ":1: it is not UTF-8"),
    ],
)
def test_unreadable_text_stops_the_start(
    catalog: Catalogs, write: Write, name: str, content: str | bytes, reason: str
) -> None:
    path = write(name, content)
    with pytest.raises(ConfigError) as caught:
        catalog()
    assert str(caught.value).startswith(f"{path}{reason}")


@pytest.mark.parametrize("name", ["AGENTS.md", "agent.yaml"])
def test_an_agent_needs_both_files(catalog: Catalogs, agents: Path, name: str) -> None:
    (agents / "helper" / name).unlink()
    with pytest.raises(ConfigError, match=f"helper/{name}: it cannot be read"):
        catalog()


def test_a_missing_or_empty_directory_is_named_with_its_variable(tmp_path: Path) -> None:
    for directory in (tmp_path / "absent", tmp_path):
        with pytest.raises(ConfigError, match="BATON_AGENTS_DIR"):
            AgentCatalog(directory, tools=(), providers=())


def test_ids_are_any_text_but_control_characters(catalog: Catalogs, write: Write, agents: Path) -> None:
    write("günther 東京/AGENTS.md", "x")
    write("günther 東京/agent.yaml", "")
    write(".hidden/AGENTS.md", "x")
    write("README.md", "not an agent")
    assert catalog().ids() == ("günther 東京", "helper")
    (agents / "a\nb").mkdir()
    with pytest.raises(ConfigError, match="cannot be an agent's id"):
        catalog()


def test_the_digest_is_of_all_files_and_the_id(catalog: Catalogs, write: Write) -> None:
    digests = [catalog().get(HELPER).digest]
    write("helper/AGENTS.md", "You help!\n")
    digests.append(catalog().get(HELPER).digest)
    write("helper/agent.yaml", "tools: [write_file]\n")
    digests.append(catalog().get(HELPER).digest)
    write("twin/AGENTS.md", "You help!\n")
    write("twin/agent.yaml", "tools: [write_file]\n")
    digests.append(catalog().get(AgentId("twin")).digest)
    assert len(set(digests)) == 4
    assert catalog().get(HELPER).digest == digests[2]
    write("helper/notes.txt", "not read")
    assert catalog().get(HELPER).digest == digests[2]


def test_the_sample_agent_shows_every_key() -> None:
    sample = (Path(__file__).parents[3] / "agents" / "assistant" / "agent.yaml").read_text("utf-8")
    keys = (*AgentSettings.__struct_fields__, *Limits.__struct_fields__)
    assert [key for key in keys if not re.search(rf"(?m)^(# |  )?{key}:", sample)] == []
