"""A desk to try tools at: a workspace, the built-in tools, and fakes for what else a call may touch."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.core.errors import ToolError
from app.core.ids import AgentId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.core.tools import ToolOutput
from app.tools.base import Tool, ToolContext
from app.tools.toolbox import Toolbox, builtin_tools
from app.workspace.base import Workspace
from app.workspace.local import LocalWorkspaces

KEY = SessionKey(TenantId("t"), UserId("u"), AgentId("a"), SessionId("s"))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Notes:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.notes: dict[str, bytes] = {}

    async def note(self, key: str, data: bytes) -> None:
        self.notes[key] = data

    async def recall(self, key: str) -> bytes | None:
        return self.notes.get(key)


class StoppedClock:
    """It is always NOW."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        return


class Desk:
    """Runs tools by name, as the engine would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "t" / "u" / "a" / "s"
        self.workspace: Workspace = LocalWorkspaces(root).open(KEY)
        self.tools = Toolbox(builtin_tools())
        self.notes = Notes()

    def context(self, *, key: str = "run:call", again: bool = False) -> ToolContext:
        return ToolContext(
            session=KEY,
            key=key,
            again=again,
            workspace=self.workspace,
            ledger=self.notes,
            clock=StoppedClock(),
            emit=lambda _text: None,
        )

    def tool(self, name: str) -> Tool:
        tool = self.tools.get(name)
        assert tool is not None
        return tool

    async def output(self, name: str, **arguments: object) -> ToolOutput:
        return await self.tool(name).run(json.dumps(arguments), self.context())

    async def run(self, name: str, **arguments: object) -> str:
        return (await self.output(name, **arguments)).text

    async def fails(self, name: str, **arguments: object) -> str:
        with pytest.raises(ToolError) as caught:
            await self.output(name, **arguments)
        return str(caught.value)

    def put(self, path: str, content: str | bytes) -> Path:
        """Plants a file, past the tools."""
        file = self.base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file
