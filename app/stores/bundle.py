"""Everything one backend gives: its ports, opened together."""

from msgspec import Struct

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
