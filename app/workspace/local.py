"""Workspaces as directories of this host, one per session."""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeVar

from app.core.errors import ToolError, Unavailable
from app.core.keys import SessionKey
from app.workspace import tree
from app.workspace.base import MAX_FILE_BYTES, FileEntry
from app.workspace.paths import directories, parse_path, shown

T = TypeVar("T")


class LocalWorkspaces:
    """The workspaces below one directory, which comes into being with the first file."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, key: SessionKey) -> "LocalWorkspace":
        """Gives the session's workspace; nothing is touched yet."""
        return LocalWorkspace(self._root, directories(key))

    async def delete(self, key: SessionKey) -> None:
        """The session's directory is gone, if there was one. Raises Unavailable if it cannot be removed."""
        await _finish(lambda: self._delete(directories(key)))

    def _delete(self, names: tuple[str, ...]) -> None:
        try:
            with tree.descend(self._root, names[:-1]) as parent:
                shutil.rmtree(names[-1], dir_fd=parent)
                os.fsync(parent)
        except OSError as error:
            if not os.path.lexists(self._root.joinpath(*names)):
                return
            raise Unavailable(f"the session's workspace cannot be removed: {error.strerror}") from error


class LocalWorkspace:
    """One session's directory."""

    def __init__(self, root: Path, base: tuple[str, ...]) -> None:
        self._root = root
        self._base = base

    async def read(self, path: str) -> bytes:
        """Gives the file's bytes."""
        return await asyncio.to_thread(self._read, path)

    async def write(self, path: str, data: bytes) -> None:
        """The file holds exactly the data, durably. A write that was cancelled is over when the cancellation is."""
        await _finish(lambda: self._write(path, data))

    async def entries(self, path: str) -> tuple[FileEntry, ...]:
        """Gives what the directory holds, by name."""
        return await asyncio.to_thread(self._entries, path)

    async def walk(self, path: str, limit: int) -> tuple[FileEntry, ...]:
        """Gives the regular files below the directory, by path."""
        return await asyncio.to_thread(self._walk, path, limit)

    def _read(self, path: str) -> bytes:
        *parents, name = _file_names(path)
        with tree.telling(path), tree.descend(self._root, (*self._base, *parents)) as directory:
            return tree.read_file(directory, name)

    def _write(self, path: str, data: bytes) -> None:
        *parents, name = _file_names(path)
        if len(data) > MAX_FILE_BYTES:
            raise ToolError(f"{len(data)} bytes are too many for {shown(path)}; a file may have {MAX_FILE_BYTES}")
        with tree.telling(path):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tree.descend(self._root, (*self._base, *parents), create=True) as directory:
                tree.write_file(directory, name, data)

    def _entries(self, path: str) -> tuple[FileEntry, ...]:
        names = parse_path(path)
        if not names and not self._exists():
            return ()
        with tree.telling(path), tree.descend(self._root, self._base + names) as directory:
            return tuple(tree.list_directory(directory, _prefix(names)))

    def _walk(self, path: str, limit: int) -> tuple[FileEntry, ...]:
        names = parse_path(path)
        if not names and not self._exists():
            return ()
        with (
            tree.telling(path),
            tree.descend(self._root, self._base + names) as directory,
            closing(tree.walk_files(directory, _prefix(names), len(names))) as files,
        ):
            return tuple(islice(files, limit))

    def _exists(self) -> bool:
        return self._root.joinpath(*self._base).is_dir()


def _file_names(path: str) -> tuple[str, ...]:
    names = parse_path(path)
    if not names:
        raise ToolError(f"{shown(path)} is the workspace itself, which is a directory; name a file in it")
    return names


def _prefix(names: tuple[str, ...]) -> str:
    return "".join(f"{name}/" for name in names)


async def _finish(work: Callable[[], T]) -> T:
    """Gives what the work gives, from a thread. A cancellation waits for it: the thread cannot be stopped half-way."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
