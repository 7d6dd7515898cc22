"""A session as the scripts give it: head, checkpoint, bodies; decoded, or found to be broken."""

from collections.abc import Sequence
from typing import Any

from app.core.encoding import load_entry
from app.core.errors import SessionNotFound
from app.core.keys import SessionKey
from app.core.records import Entry
from app.core.state import FOLD_VERSION
from app.stores.base import Checkpoint, Log
from app.stores.redis.connection import Connection
from app.stores.redis.layout import layout
from app.stores.redis.requests import load_head

BEYOND = 2**53
"""More than any seq; what is above is no integer in Lua."""


class Reader:
    """Reads logs."""

    def __init__(self, connection: Connection, fold_version: int = FOLD_VERSION) -> None:
        self._redis = connection
        self.version = fold_version

    async def read(self, key: SessionKey, after: int | None = None, limit: int = 256) -> Log:
        """Gives the log from that seq on, or all that is needed to fold its state. Raises SessionNotFound."""
        start = "" if after is None else min(max(0, after), BEYOND)
        reply = await self._redis.run("read", layout(key).keys[:3], (start, limit, self.version))
        if not reply:
            raise SessionNotFound(f"there is no session {key.session!r}")
        packed, checkpoint, body, bodies = reply
        if start != "":
            return Log(load_head(packed), numbered(bodies, int(start)))
        return self.log(packed, checkpoint, body, bodies)

    def log(self, packed: bytes, start: int, checkpoint: bytes, bodies: Sequence[bytes]) -> Log:
        """Gives the log whose newest usable checkpoint is at `start` (0: none), with the bodies that follow."""
        kept = Checkpoint(start, self.version, checkpoint) if start else None
        return Log(load_head(packed), numbered(bodies, start), kept)


def numbered(bodies: Sequence[bytes], after: int) -> tuple[Entry, ...]:
    """Gives the entries that follow that seq. Raises StoreCorrupt."""
    return tuple(load_entry(seq, body) for seq, body in enumerate(bodies, after + 1))


def text(reply: Any) -> str:
    """Gives a reply that is text."""
    return bytes(reply).decode()
