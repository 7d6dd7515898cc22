"""The rules for names: what a model may write as a path, and what a session's key is called on disk.

A path becomes a tuple of names before anything is opened, and none of them is `..` or holds a `/`: so there is no
joined path to compare with a prefix. That no name is a symbolic link is for `tree.py` to see to.
"""

import unicodedata
from hashlib import sha256
from urllib.parse import quote

from app.core.errors import ToolError
from app.core.keys import SessionKey

ROOT = "/workspace"
"""What the model may call the workspace's root."""
MAX_DEPTH = 64
"""Names in one path."""
MAX_NAME_BYTES = 255
"""Bytes in one name: Linux's NAME_MAX."""
SCRATCH = ".baton-tmp-"
"""How the names of unfinished files begin; no tool sees them."""

_READABLE_CHARS = 180
_SHOWN_CHARS = 200


def parse_path(path: str) -> tuple[str, ...]:
    """Gives the names from the root down, none for the root itself. Raises ToolError that says what to write instead.

    `.` and empty names are dropped. A backslash is an ordinary character, and so is whatever merely looks like a dot or
    a slash.
    """
    names = tuple(name for name in _relative(path).split("/") if name not in {"", "."})
    if len(names) > MAX_DEPTH:
        raise ToolError(f"{shown(path)} is more than {MAX_DEPTH} names deep; use a shorter path")
    for name in names:
        reason = _objection(name)
        if reason is not None:
            raise ToolError(f"{shown(path)} is not a path in the workspace: {reason}")
    return names


def is_legal_name(name: str) -> bool:
    """Says whether a path may contain that name; what a directory holds beside such names is out of reach."""
    return _objection(name) is None


def shown(path: str) -> str:
    """Gives the path for a message: quoted, with everything unprintable escaped, and bounded."""
    return repr(path if len(path) <= _SHOWN_CHARS else path[:_SHOWN_CHARS] + "…")


def directories(key: SessionKey) -> tuple[str, ...]:
    """Gives the names of the directories that lead to a session's own; no two keys share the last one."""
    return tuple(_directory(part) for part in (key.tenant, key.user, key.agent, key.session))


def _relative(path: str) -> str:
    if path == ROOT or path.startswith(f"{ROOT}/"):
        return path[len(ROOT) :]
    if path.startswith("/"):
        raise ToolError(f"{shown(path)} is outside the workspace; write a relative path, such as 'src/app.py'")
    return path


def _objection(name: str) -> str | None:
    """Gives what is wrong with the name, or None."""
    if name == "..":
        return "'..' is not allowed; name the file from the workspace's root"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        return "control characters and lone surrogates are not allowed"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"a name may have at most {MAX_NAME_BYTES} bytes"
    if name.startswith(SCRATCH):
        return f"names that begin with {SCRATCH!r} are reserved"
    return None


def _directory(part: str) -> str:
    """Gives a file name for one component: readable, and different for different components.

    `quote` never writes `%2E`, nor a `%` that no two hex digits follow; so what is added here cannot be its work.
    """
    name = quote(part, safe="", errors="surrogatepass")
    if name in {"", ".", ".."}:
        return name.replace(".", "%2E") or "%"
    if len(name) > MAX_NAME_BYTES:
        digest = sha256(name.encode()).hexdigest()
        return f"{name[:_READABLE_CHARS]}%~{digest}"
    return name
