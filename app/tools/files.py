"""Tools for whole files: read one, write one, list a directory."""

import asyncio
from typing import Annotated

from msgspec import Meta

from app.core.errors import ToolError
from app.core.records import Effect
from app.core.tools import ToolOutput
from app.tools.base import Arguments, ToolContext, describe, parse
from app.tools.locks import WorkspaceLocks
from app.tools.text import DirectoryPath, FilePath, decode_text, encode_text, number_lines, split_lines
from app.workspace.base import FileEntry
from app.workspace.paths import shown

MAX_LINES = 2000
MAX_ENTRIES = 1000


class ReadFileArguments(Arguments, frozen=True, kw_only=True):
    """What to read."""

    path: FilePath
    offset: Annotated[int, Meta(description="The first line to show; the file begins with line 1.", ge=1)] = 1
    limit: Annotated[int, Meta(description="How many lines to show at most.", ge=1, le=MAX_LINES)] = MAX_LINES


class ReadFile:
    """Shows a text file's lines with their numbers."""

    spec = describe(
        "read_file",
        "Shows a text file of the workspace, each line after its number and a tab. Use offset and limit for a part.",
        ReadFileArguments,
        Effect.PURE,
    )

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        """Gives the lines, and says how many there are when some are missing."""
        wanted = parse(arguments, ReadFileArguments)
        data = await context.workspace.read(wanted.path)
        return ToolOutput(text=await asyncio.to_thread(_show, data, wanted))


def _show(data: bytes, wanted: ReadFileArguments) -> str:
    text = decode_text(data, wanted.path)
    lines, first = split_lines(text), wanted.offset
    if not lines:
        return "[the file is empty]"
    if first > len(lines):
        raise ToolError(f"{shown(wanted.path)} has {len(lines)} lines; there is no line {first}")
    last = min(first + wanted.limit - 1, len(lines))
    notes = ""
    if first > 1 or last < len(lines):
        notes += f"\n[lines {first} to {last} of {len(lines)}]"
    if "\r\n" in text:
        notes += "\n[the lines end in CRLF]"
    return number_lines(lines[first - 1 : last], first) + notes


class WriteFileArguments(Arguments, frozen=True, kw_only=True):
    """What to write, and where."""

    path: FilePath
    content: Annotated[str, Meta(description="All of the new content, exactly.")]


class WriteFile:
    """Creates or replaces a file. Keyed by nature: writing the same content again changes nothing."""

    spec = describe(
        "write_file",
        "Writes a text file of the workspace: creates it and its directories, or replaces all of its content.",
        WriteFileArguments,
        Effect.KEYED,
    )

    def __init__(self, locks: WorkspaceLocks) -> None:
        self._locks = locks

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        """The file holds exactly the content."""
        wanted = parse(arguments, WriteFileArguments)
        data = encode_text(wanted.content, wanted.path)
        async with self._locks.of(context.session):
            await context.workspace.write(wanted.path, data)
        return ToolOutput(text=f"wrote {len(data)} bytes to {shown(wanted.path)}")


class ListFilesArguments(Arguments, frozen=True, kw_only=True):
    """What to list."""

    path: DirectoryPath = ""


class ListFiles:
    """Shows what a directory holds."""

    spec = describe(
        "list_files",
        "Lists a directory of the workspace: directories end in a slash, files come with their size.",
        ListFilesArguments,
        Effect.PURE,
    )

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        """Gives one line for each entry, and says how many there are when some are missing."""
        wanted = parse(arguments, ListFilesArguments)
        entries = await context.workspace.entries(wanted.path)
        lines = [_line(entry) for entry in entries[:MAX_ENTRIES]]
        if len(entries) > MAX_ENTRIES:
            lines.append(f"[the first {MAX_ENTRIES} of {len(entries)} entries; glob_files finds others]")
        return ToolOutput(text="\n".join(lines) or "[the directory is empty]")


def _line(entry: FileEntry) -> str:
    match entry.kind:
        case "directory":
            return f"{entry.path}/"
        case "file":
            return f"{entry.path} ({entry.size} bytes)"
        case "other":
            return f"{entry.path} (not a file that can be read)"
