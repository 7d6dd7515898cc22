"""How large the runtime environment is: the distributions that the server needs, without those of its development."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path

from tests.bench.table import Row

TARGET_MIB = 150
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(\[(?P<extras>[^\]]*)\])?[^;]*(;(?P<marker>.*))?")
_EXTRA = re.compile(r"extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"]")


def measure() -> list[Row]:
    """Gives the size of everything that `baton` requires, and what those require."""
    size = sum(_size(one) for one in closure("baton").values())
    return [Row(what="runtime environment", value=size / 2**20, unit="MiB", target=TARGET_MIB)]


def closure(name: str) -> dict[str, Distribution]:
    """Gives the distribution and all that it needs, by name. One that is not installed is not needed here."""
    found: dict[str, Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(name, frozenset())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            found[wanted[0]] = distribution(wanted[0])
        except PackageNotFoundError:
            continue
        waiting += _requirements(found[wanted[0]], wanted[1])
    return found


def _requirements(one: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yields what it requires with those extras. Markers for other systems are not read: what they name is not here."""
    for text in one.requires or ():
        match = _REQUIREMENT.fullmatch(text)
        assert match is not None, text
        extra = _EXTRA.search(match["marker"] or "")
        if extra is None or extra["extra"] in extras:
            wanted = frozenset(name.strip() for name in (match["extras"] or "").split(",") if name.strip())
            yield re.sub(r"[-_.]+", "-", match["name"]).lower(), wanted


def _size(one: Distribution) -> int:
    """Gives the bytes of its files, and of what was compiled from them."""
    sources = [Path(str(one.locate_file(file))) for file in set(one.files or ())]
    compiled = [Path(cache_from_source(str(path))) for path in sources if path.suffix == ".py"]
    return sum(path.stat().st_size for path in (*sources, *compiled) if path.is_file())
