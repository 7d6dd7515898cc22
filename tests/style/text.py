"""The project's own files, as the style tests see them."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SKIPPED = {"node_modules", "dist", "__pycache__"}
SUFFIXES = {".py", ".sql", ".lua", ".js", ".css", ".html", ".md", ".yaml", ".yml", ".toml", ".sh", ".cfg", ""}


def files(*parts: str) -> Iterator[Path]:
    """Gives the text files below that place, hidden directories (but `.ci`) and build products left out."""
    for directory, names, found in os.walk(ROOT.joinpath(*parts)):
        names[:] = sorted(n for n in names if n not in SKIPPED and (not n.startswith(".") or n == ".ci"))
        yield from (path for name in sorted(found) if (path := Path(directory, name)).suffix in SUFFIXES)


def sources(*parts: str) -> Iterator[Path]:
    """Gives the Python files below that place."""
    return (path for path in files(*parts) if path.suffix == ".py")


def shown(path: Path) -> str:
    """Gives the path as a finding names it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
