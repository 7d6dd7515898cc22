"""The port of workspaces: a tree of files that belongs to a scope, reached by relative paths that cannot leave it."""

from typing import Literal, Protocol

from msgspec import Struct

from app.core.keys import SessionKey

MAX_FILE_BYTES = 16 * 1024 * 1024


class FileEntry(Struct, frozen=True):
    """A file or directory: its path relative to the workspace, with `/`, and its size in bytes."""

    path: str
    kind: Literal["file", "directory", "other"]
    size: int


class Workspace(Protocol):
    """One tree. Paths are relative to it; `/workspace/x` means `x`. Symbolic links are neither followed nor read.

    Every method raises ToolError, in words for the model, for a path that is absent, of the wrong kind, or outside.
    """

    async def read(self, path: str) -> bytes:
        """Gives the file's bytes, at most MAX_FILE_BYTES."""
        ...

    async def write(self, path: str, data: bytes) -> None:
        """The file holds exactly the data, durably and never half; its directories exist."""
        ...

    async def entries(self, path: str) -> tuple[FileEntry, ...]:
        """Gives what the directory holds, by name."""
        ...

    async def walk(self, path: str, limit: int) -> tuple[FileEntry, ...]:
        """Gives the files below the directory, by path, at most `limit`."""
        ...


class Workspaces(Protocol):
    """Where workspaces come from."""

    def open(self, key: SessionKey) -> Workspace:
        """Gives the workspace of the session's scope; it comes into being with its first file."""
        ...

    async def delete(self, key: SessionKey) -> None:
        """The session's workspace is gone, if it had one of its own."""
        ...
