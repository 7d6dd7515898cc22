"""The figures of what connects a replica to others: its pools of connections, and its bus."""

from collections.abc import Iterable
from typing import Protocol

from app.observability.metrics import Figure, Sample

SIZE = Figure("pool_connections_limit", "Connections that a pool opens at the most.", ("backend",))
IN_USE = Figure("pool_connections_in_use", "Connections of a pool that are at work.", ("backend",))
SENT = Figure("bus_payloads_sent_total", "Payloads sent to other replicas, of many messages each.", ("bus",))
RECEIVED = Figure("bus_payloads_received_total", "Payloads that other replicas sent.", ("bus",))
DROPPED = Figure("bus_deltas_dropped_total", "Deltas dropped because the bus was slow or away.", ("bus",))


class Pool(Protocol):
    """Connections that calls take turns with."""

    @property
    def size(self) -> int:
        """Gives how many there may be."""
        ...

    @property
    def in_use(self) -> int:
        """Gives how many are at work."""
        ...


class Relay(Protocol):
    """A bus between replicas."""

    @property
    def sent(self) -> int:
        """Gives how many payloads were sent."""
        ...

    @property
    def received(self) -> int:
        """Gives how many payloads came in."""
        ...

    @property
    def dropped(self) -> int:
        """Gives how many deltas were dropped."""
        ...


class PoolFigures:
    """A pool as a source."""

    def __init__(self, backend: str, pool: Pool) -> None:
        self._backend, self._pool = backend, pool

    def samples(self) -> Iterable[Sample]:
        yield SIZE.of(self._pool.size, self._backend)
        yield IN_USE.of(self._pool.in_use, self._backend)


class RelayFigures:
    """A bus as a source."""

    def __init__(self, bus: str, relay: Relay) -> None:
        self._bus, self._relay = bus, relay

    def samples(self) -> Iterable[Sample]:
        yield SENT.of(self._relay.sent, self._bus)
        yield RECEIVED.of(self._relay.received, self._bus)
        yield DROPPED.of(self._relay.dropped, self._bus)
