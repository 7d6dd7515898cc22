"""What a backend must be able to do for the contract suite and the state machine.

Besides opening its stores, a backend can lose its newest writes (`mark`, `rewind`) and damage or show what is stored,
which no port can.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from app.core.clock import Clock
from app.core.keys import SessionKey
from app.core.state import FOLD_VERSION
from app.stores.bundle import Stores

GARBAGE = b'{"type":"nonsense"'


class Footprint(Struct, frozen=True):
    """What is stored for a session, as it lies there."""

    bodies: tuple[bytes, ...] = ()
    checkpoints: tuple[int, ...] = ()
    requests: int = 0
    runs: int = 0
    blobs: int = 0


class Backend(Protocol):
    """One technology. `open` twice, one after the other, is a restart: what was durable is there again."""

    @property
    def name(self) -> str: ...

    def open(self, clock: Clock, *, fold_version: int = FOLD_VERSION) -> AbstractAsyncContextManager[Stores]:
        """Gives the stores."""
        ...

    def mark(self) -> None:
        """This moment is what `rewind` goes back to."""
        ...

    def rewind(self) -> None:
        """Every write since the mark is lost, also to stores that are open; the bus loses nothing."""
        ...

    def footprint(self, key: SessionKey) -> Footprint:
        """Shows what is stored for the session; nothing at all for one that is absent."""
        ...

    def spoil_entry(self, key: SessionKey, seq: int, body: bytes | None = GARBAGE) -> None:
        """The stored record is that garbage, or, for None, missing."""
        ...

    def spoil_checkpoints(self, key: SessionKey) -> None:
        """Every checkpoint of the session holds garbage."""
        ...
