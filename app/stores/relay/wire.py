"""The wire: what carries bytes from one replica to the others. It may lose them, all the more when it breaks."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from app.core.ids import Incarnation


class Post(Struct, frozen=True):
    """One payload on its way to one incarnation, or, without one, to everybody."""

    to: Incarnation | None
    payload: bytes


class Terms(Struct, frozen=True, kw_only=True):
    """What sending costs."""

    limit: int
    """Bytes that a payload may have."""
    pace: float
    """Seconds from one sending to the next, at the least."""
    parts: int
    """Payloads that one message may be divided among."""
    shared: bool = False
    """Each payload is so dear that one, to everybody, carries what has several destinations."""


class Wire(Protocol):
    """Carries payloads, in order from one sender to one receiver. It mends itself when it breaks."""

    @property
    def terms(self) -> Terms:
        """Gives what sending costs."""
        ...

    def open(
        self, deliver: Callable[[bytes], None], on_reconnect: Callable[[], None]
    ) -> AbstractAsyncContextManager[None]:
        """Payloads to this incarnation and to everybody reach `deliver` while the body runs, its own ones perhaps too.

        Whenever it is whole again after it broke, which may have lost anything, `on_reconnect` is called. Both run on
        the event loop and must not block or raise. Raises StoreUnavailable if it cannot be opened at all.
        """
        ...

    async def send(self, posts: Sequence[Post]) -> None:
        """The posts are on their way, in order. Raises StoreUnavailable; then any of them may have got lost."""
        ...


class Parcels(Protocol):
    """Holds what is too large for a wire's payloads, for a minute, until it is collected."""

    async def leave(self, name: str, parcel: bytes) -> None:
        """The parcel can be collected under that name, once. Raises StoreUnavailable."""
        ...

    async def collect(self, name: str) -> bytes | None:
        """Gives the parcel, or None if there is none of that name any more. Raises StoreUnavailable."""
        ...
