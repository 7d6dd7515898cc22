"""A directory of agents, and catalogs over it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.engine.catalog import AgentCatalog

TOOLS = ("read_file", "write_file")
PROVIDERS = ("offline", "openai")

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    return tmp_path / "agents"


@pytest.fixture
def write(agents: Path) -> Write:
    """Writes one file below the agents, visibly newer than whatever was there."""

    def write(name: str, content: str | bytes) -> Path:
        path = agents / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_mtime_ns if path.exists() else 10**18
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, ns=(before + 10**9, before + 10**9))
        return path

    write("helper/AGENTS.md", "You help.\n")
    write("helper/agent.yaml", "tools: [read_file]\n")
    return write


@pytest.fixture
def catalog(agents: Path, write: Write) -> Callable[[], AgentCatalog]:
    """Makes catalogs as one process after the other would."""
    return lambda: AgentCatalog(agents, tools=TOOLS, providers=PROVIDERS)
