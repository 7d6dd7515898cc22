"""Directory trees, reached by descriptors: no call here ever follows a symbolic link, or waits for a FIFO.

Each name is opened on its own, relative to the descriptor of the directory before it, with O_NOFOLLOW. So a link that
is swapped in between two steps is met by an error, and not by the file it points to. All calls block; `local.py` runs
them in threads.
"""

import errno
import os
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG

from app.core.errors import ToolError
from app.workspace.base import MAX_FILE_BYTES, FileEntry
from app.workspace.paths import MAX_DEPTH, SCRATCH, is_legal_name, shown

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_SCRATCH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

_REASONS = {
    errno.ENOENT: "there is no such file or directory; list_files shows what there is",
    errno.ENOTDIR: "a part of it is not a directory (symbolic links are not followed)",
    errno.ELOOP: "it is a symbolic link, and those are not followed",
    errno.EISDIR: "it is a directory",
    errno.ENXIO: "it is not a regular file",
    errno.EACCES: "its permissions do not allow it",
    errno.EPERM: "its permissions do not allow it",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
}


@contextmanager
def telling(path: str) -> Generator[None, None, None]:
    """Turns what the operating system objects to into a ToolError about that path."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or error.strerror or "it cannot be used"
        raise ToolError(f"{shown(path)}: {reason}") from error


@contextmanager
def descend(root: Path, names: Sequence[str], *, create: bool = False) -> Generator[int, None, None]:
    """Gives a descriptor of the directory below `root`, while it lasts. With `create`, missing ones come into being."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names:
            child = _enter(descriptor, name, create)
            os.close(descriptor)
            descriptor = child
        yield descriptor
    finally:
        os.close(descriptor)


def _enter(directory: int, name: str, create: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=directory)
        os.fsync(directory)
    return os.open(name, _DIRECTORY, dir_fd=directory)


def read_file(directory: int, name: str) -> bytes:
    """Gives the bytes of the regular file. Raises OSError, and ToolError for one that is too large."""
    descriptor = os.open(name, _FILE, dir_fd=directory)
    try:
        _require_file(os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise ToolError(f"{shown(name)} is larger than {MAX_FILE_BYTES} bytes, the most that can be read")
    return data


def write_file(directory: int, name: str, data: bytes) -> None:
    """The file holds the data, durably, and at every moment either all of the old or all of the new; its mode stays."""
    mode = _mode(directory, name)
    scratch = SCRATCH + secrets.token_hex(8)
    descriptor = os.open(scratch, _SCRATCH, 0o644, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.rename(scratch, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(scratch, dir_fd=directory)
        raise
    os.fsync(directory)


def _mode(directory: int, name: str) -> int | None:
    """Gives the permissions of the file that is to be replaced, or None if there is none."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    _require_file(status)
    return S_IMODE(status.st_mode) & 0o777


def _require_file(status: os.stat_result) -> None:
    if S_ISREG(status.st_mode):
        return
    code = errno.EISDIR if S_ISDIR(status.st_mode) else errno.ELOOP if S_ISLNK(status.st_mode) else errno.ENXIO
    raise OSError(code, os.strerror(code))


def list_directory(directory: int, prefix: str) -> list[FileEntry]:
    """Gives what the directory holds, by path, `prefix` before each name; names no path may contain are escaped."""
    entries: list[FileEntry] = []
    with os.scandir(directory) as found:
        for item in found:
            with suppress(FileNotFoundError):
                status = item.stat(follow_symlinks=False)
                if not item.name.startswith(SCRATCH):
                    entries.append(_entry(prefix, item.name, status))
    return sorted(entries, key=_place)


def _entry(prefix: str, name: str, status: os.stat_result) -> FileEntry:
    if not is_legal_name(name):
        return FileEntry(prefix + name.encode("unicode_escape").decode(), "other", status.st_size)
    if S_ISDIR(status.st_mode):
        return FileEntry(prefix + name, "directory", 0)
    return FileEntry(prefix + name, "file" if S_ISREG(status.st_mode) else "other", status.st_size)


def _place(entry: FileEntry) -> str:
    """Sorts a directory where its files belong: `a-b` before `a/c`."""
    return f"{entry.path}/" if entry.kind == "directory" else entry.path


def walk_files(directory: int, prefix: str, depth: int) -> Generator[FileEntry, None, None]:
    """Yields the regular files below, by path; `depth` names lead there. Files too deep for a path are left out."""
    for entry in list_directory(directory, prefix):
        if entry.kind == "file" and depth < MAX_DEPTH:
            yield entry
        if entry.kind == "directory" and depth + 1 < MAX_DEPTH:
            yield from _walk_child(directory, entry, depth + 1)


def _walk_child(directory: int, entry: FileEntry, depth: int) -> Generator[FileEntry, None, None]:
    name = entry.path.rsplit("/", 1)[-1]
    try:
        child = os.open(name, _DIRECTORY, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        yield from walk_files(child, f"{entry.path}/", depth)
    finally:
        os.close(child)
