"""The toolbox: which tools there are."""

from collections.abc import Iterable

from app.core.tools import ToolSpec
from app.tools.base import Tool
from app.tools.edit import EditFile
from app.tools.files import ListFiles, ReadFile, WriteFile
from app.tools.globs import GlobFiles
from app.tools.grep import GrepFiles
from app.tools.locks import WorkspaceLocks
from app.tools.searcher import Searcher
from app.tools.todos import TodoWrite


class Toolbox:
    """Tools by name, in a fixed order."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        """Raises ValueError if two tools share a name."""
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.spec.name in self._tools:
                raise ValueError(f"two tools are called {tool.spec.name}")
            self._tools[tool.spec.name] = tool

    @property
    def names(self) -> tuple[str, ...]:
        """Gives every tool's name."""
        return tuple(self._tools)

    def specs(self, names: tuple[str, ...] | None) -> tuple[ToolSpec, ...]:
        """Gives the specs of the tools with those names, of all for None, in the box's order. Others are left out."""
        return tuple(tool.spec for name, tool in self._tools.items() if names is None or name in names)

    def get(self, name: str) -> Tool | None:
        """Gives the tool, or None."""
        return self._tools.get(name)


def builtin_tools() -> tuple[Tool, ...]:
    """Gives the tools every agent may use; they share nothing with those of another call."""
    locks = WorkspaceLocks()
    return (
        ReadFile(),
        WriteFile(locks),
        EditFile(locks),
        ListFiles(),
        GlobFiles(),
        GrepFiles(Searcher()),
        TodoWrite(),
    )
