"""Glob patterns, matched name by name, and the tool that finds files by them."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from typing import Annotated

from msgspec import Meta

from app.core.records import Effect
from app.core.tools import ToolOutput
from app.tools.base import Arguments, ToolContext, describe, parse
from app.tools.text import DirectoryPath
from app.workspace.paths import parse_path

MAX_WALK = 20_000
"""Files looked at."""
MAX_FOUND = 1000
"""Files shown."""


class Glob:
    """A pattern for relative paths: `*`, `?` and `[…]` within one name, `**` for any number of directories.

    Matching costs at most the product of both lengths, whatever the pattern.
    """

    def __init__(self, pattern: str) -> None:
        """Raises ToolError for a pattern that could only match outside the workspace."""
        self._names = [None if name == "**" else re.compile(translate(name)) for name in parse_path(pattern)]

    def matches(self, names: Sequence[str]) -> bool:
        """Says whether the whole path is matched. A last `**` matches every file below."""
        places = self._skip({0})
        for name in names:
            places = self._skip({after for place in places for after in self._step(place, name)})
        return len(self._names) in places

    def _step(self, place: int, name: str) -> tuple[int, ...]:
        if place == len(self._names):
            return ()
        pattern = self._names[place]
        if pattern is None:
            return (place,)
        return (place + 1,) if pattern.match(name) else ()

    def _skip(self, places: Iterable[int]) -> set[int]:
        """Adds the places that are reached by letting `**` match nothing."""
        reached: set[int] = set()
        for start in places:
            place = start
            reached.add(place)
            while place < len(self._names) and self._names[place] is None:
                place += 1
                reached.add(place)
        return reached


class GlobFilesArguments(Arguments, frozen=True, kw_only=True):
    """What to look for, and where."""

    pattern: Annotated[
        str,
        Meta(
            description="A glob, such as '**/*.py' or 'src/*/test_?.txt'. '**' stands for any number of directories; "
            "braces are not supported.",
            min_length=1,
            max_length=1024,
        ),
    ]
    path: DirectoryPath = ""


class GlobFiles:
    """Finds files by their names."""

    spec = describe(
        "glob_files",
        "Finds the files below a directory of the workspace whose path, relative to that directory, fits a glob.",
        GlobFilesArguments,
        Effect.PURE,
    )

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        """Gives one path a line, relative to the workspace, and says when some are missing."""
        wanted = parse(arguments, GlobFilesArguments)
        glob, depth = Glob(wanted.pattern), len(parse_path(wanted.path))
        files = await context.workspace.walk(wanted.path, MAX_WALK)
        paths = [file.path for file in files]
        found = await asyncio.to_thread(select, glob, paths, depth)
        lines = found[:MAX_FOUND]
        if len(found) > MAX_FOUND:
            lines.append(f"[the first {MAX_FOUND} of {len(found)} files]")
        if len(files) == MAX_WALK:
            lines.append(f"[only the first {MAX_WALK} files were looked at; give a narrower path]")
        return ToolOutput(text="\n".join(lines) or "[no file matches]")


def select(glob: Glob, paths: Sequence[str], depth: int) -> list[str]:
    """Gives the paths that match below the directory that `depth` names lead to."""
    return [path for path in paths if glob.matches(path.split("/")[depth:])]
