"""Workspaces guarded as others guard theirs: what the attack corpus must turn red against."""

import os
from pathlib import Path

from app.core.errors import ToolError
from app.workspace.base import FileEntry


class PrefixGuarded:
    """Joins, and compares the result with the root by `startswith`."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def find(self, path: str) -> Path:
        joined = f"{self.base}{path.removeprefix('/workspace')}" if path.startswith("/") else f"{self.base}/{path}"
        normal = os.path.normpath(joined)
        if "\0" in normal or not normal.startswith(str(self.base)):
            raise ToolError("outside")
        return Path(normal)

    async def read(self, path: str) -> bytes:
        with _told():
            found = self.find(path)
            if not found.is_file():
                raise ToolError("not a file")
            return found.read_bytes()

    async def write(self, path: str, data: bytes) -> None:
        with _told():
            descriptor = os.open(self.find(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)

    async def entries(self, path: str) -> tuple[FileEntry, ...]:
        with _told():
            names = sorted(found.name for found in self.find(path).iterdir())
            return tuple(FileEntry(f"{path}/{name}", "file", 0) for name in names)

    async def walk(self, path: str, limit: int) -> tuple[FileEntry, ...]:
        return tuple(entry for entry in (await self.entries(path))[:limit])


class ResolvingGuarded(PrefixGuarded):
    """Resolves links first, and compares names rather than characters; but opens the path afterwards, as a path."""

    def find(self, path: str) -> Path:
        found = Path(os.path.realpath(self.base / path))
        if not found.is_relative_to(self.base):
            raise ToolError("outside")
        return self.base / path


class _told:  # noqa: N801
    """Turns the system's errors into the model's."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | UnicodeError):
            raise ToolError("no") from error
