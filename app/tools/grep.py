"""The tool that searches file contents by a regular expression."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated

from msgspec import Meta

from app.core.errors import ToolError
from app.core.records import Effect
from app.core.tools import ToolOutput
from app.tools.base import Arguments, ToolContext, describe, parse
from app.tools.globs import MAX_WALK, Glob, select
from app.tools.searcher import Findings, Order, Searcher
from app.workspace.base import Workspace
from app.workspace.paths import parse_path

MAX_SEARCHED_BYTES = 256 * 1024 * 1024


class GrepFilesArguments(Arguments, frozen=True, kw_only=True):
    """What to look for, and where."""

    pattern: Annotated[
        str,
        Meta(
            description="A regular expression as in Python's re; lines that contain a match are found.",
            min_length=1,
            max_length=1000,
        ),
    ]
    path: Annotated[
        str, Meta(description="A directory or file, relative to the workspace; empty for all of it.", max_length=4096)
    ] = ""
    glob: Annotated[
        Annotated[str, Meta(max_length=1024)] | None,
        Meta(description="Only files that fit, such as '*.py' (in any directory) or 'src/**/*.ts'."),
    ] = None
    ignore_case: Annotated[bool, Meta(description="Whether upper and lower case are the same.")] = False
    limit: Annotated[int, Meta(description="How many lines to find at most.", ge=1, le=1000)] = 200


class GrepFiles:
    """Finds lines by a regular expression."""

    spec = describe(
        "grep_files",
        "Searches the text files of the workspace line by line; gives 'path:line number: line'. Skips binary files.",
        GrepFilesArguments,
        Effect.PURE,
    )

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        """Gives the lines, and says what was left out."""
        wanted = parse(arguments, GrepFilesArguments)
        paths, cut = await _paths(wanted, context.workspace)
        order = Order(pattern=wanted.pattern, ignore_case=wanted.ignore_case, limit=wanted.limit)
        async with aclosing(_contents(paths, context.workspace)) as contents:
            findings = await self._searcher.search(order, contents)
        notes = _notes(findings, wanted.limit, len(paths))
        if cut:
            notes.append(f"[only the first {MAX_WALK} files were looked at; give a narrower path]")
        return ToolOutput(text="\n".join([*_lines(findings), *notes]))


async def _paths(wanted: GrepFilesArguments, workspace: Workspace) -> tuple[Sequence[str], bool]:
    """Gives the files to search, and whether there may be more."""
    glob, depth = _glob(wanted.glob), len(parse_path(wanted.path))
    try:
        files = await workspace.walk(wanted.path, MAX_WALK)
    except ToolError:
        await workspace.read(wanted.path)  # not a directory: then it is a file, or this says what is wrong
        return (wanted.path,), False
    paths = [file.path for file in files]
    chosen = paths if glob is None else await asyncio.to_thread(select, glob, paths, depth)
    return chosen, len(files) == MAX_WALK


def _glob(pattern: str | None) -> Glob | None:
    if pattern is None:
        return None
    return Glob(pattern if "/" in pattern else f"**/{pattern}")


async def _contents(paths: Sequence[str], workspace: Workspace) -> AsyncGenerator[tuple[str, bytes], None]:
    """Yields each file that can be read, until there were enough bytes."""
    total = 0
    for path in paths:
        try:
            data = await workspace.read(path)
        except ToolError:
            continue  # too large, or gone since the walk
        total += len(data)
        if total > MAX_SEARCHED_BYTES:
            return
        yield path, data


def _lines(findings: Findings) -> list[str]:
    return [f"{match.path}:{match.line}: {match.text}" for match in findings.matches] or ["[no line matches]"]


def _notes(findings: Findings, limit: int, files: int) -> list[str]:
    if findings.full:
        return [f"[the first {limit} lines; a narrower pattern, path or glob finds others]"]
    notes: list[str] = []
    if findings.binary:
        notes.append(f"[{findings.binary} files are not UTF-8 text and were skipped]")
    if findings.searched + findings.binary < files:
        notes.append(f"[only {findings.searched + findings.binary} of {files} files could be searched]")
    return notes
