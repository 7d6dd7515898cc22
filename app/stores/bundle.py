"""Everything one backend gives: its ports, opened together."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from msgspec import Struct

from app.observability.metrics import Source
from app.stores.base import Blobs, Heads, KeyValue, Replicas, Runs, Sessions
from app.stores.bus import Bus


class Stores(Struct, frozen=True, kw_only=True):
    """The open ports of one backend."""

    sessions: Sessions
    runs: Runs
    heads: Heads
    replicas: Replicas
    keyvalue: KeyValue
    blobs: Blobs
    bus: Bus
    pulse: Callable[[], AbstractAsyncContextManager[Replicas]] | None = None
    """Opens a `Replicas` on a connection of its own, for the heartbeat, in whatever event loop it is entered.

    None for a store that admits one process: its lock says who is alive.
    """
    sources: tuple[Source, ...] = ()
    """Who counts what goes on in there."""
