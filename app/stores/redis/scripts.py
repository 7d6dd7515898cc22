"""The Lua in `lua/*.lua`, by file name. Redis runs each as one transaction.

A line `-- include: name` stands for the text of `lua/shared/name.lua`: Redis knows no modules. Every name that a shared
text declares is local, so two scripts never meet.
"""

import re
from collections.abc import Mapping
from hashlib import sha1
from pathlib import Path

from msgspec import Struct

LUA = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


class Script(Struct, frozen=True):
    """A script's text, and the digest under which a server remembers it."""

    text: str
    digest: str


def load_scripts(folder: Path = LUA) -> Mapping[str, Script]:
    """Gives every script by its file's name without `.lua`."""
    return {file.stem: _script(_expanded(file)) for file in sorted(folder.glob("*.lua"))}


def _expanded(file: Path) -> str:
    shared = file.parent / "shared"
    return _INCLUDE.sub(lambda line: (shared / f"{line[1]}.lua").read_text("utf-8"), file.read_text("utf-8"))


def _script(text: str) -> Script:
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())
