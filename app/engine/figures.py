"""The engine's figures: how its parts are at this moment, and what they have counted since the start."""

from collections.abc import Iterable
from math import isinf

from app.engine.broadcast import Broadcast
from app.engine.heartbeat import Heartbeat
from app.engine.lease import Lease
from app.engine.membership import Membership, Shared
from app.engine.services import Services
from app.engine.worker import Worker
from app.observability.metrics import Figure, Sample

SLOTS = Figure("slots", "Runs that this replica may work on at a time.")
TAKEN = Figure("slots_taken", "Slots that run a session or are reserved for one.")
RUNNING = Figure("sessions_running", "Sessions that run here.")
DRAINING = Figure("draining", "Whether this replica is shutting down (1) or takes inputs (0).")
CHANNELS = Figure("channels_open", "Sessions that somebody follows here, or did a moment ago.")
VALID = Figure("lease_valid", "Whether this replica may act (1), as far as it knows.")
AGE = Figure("heartbeat_age_seconds", "Since the last heartbeat that counts was sent.")
BEATS = Figure("heartbeats_total", "Heartbeats that reached the store.")
MISSES = Figure(
    "heartbeat_failures_total", "Heartbeats that failed, or were not sent because the event loop was silent."
)
LAPSES = Figure("lease_lapses_total", "How often the lease ran out before it was renewed.")
DEATHS = Figure("incarnations_lost_total", "How often others declared this replica dead, and it went on as another.")
STREAMS = Figure("streams_open", "Clients that follow a session or a run here.")
GAPS = Figure("stream_gaps_total", "Deltas lost on the way, made up for by a snapshot.")
RESETS = Figure("stream_resets_total", "Streams that told their client to begin anew.")
CUT_OFF = Figure("streams_cut_off_total", "Streams ended because their client was too slow.")
ASKS = Figure("stream_asks_total", "Questions to an owner about its open items.")


def engine_samples(
    services: Services, worker: Worker, broadcast: Broadcast, membership: Membership
) -> Iterable[Sample]:
    """Gives the figures of all parts."""
    yield SLOTS.of(services.slots)
    yield TAKEN.of(services.slots - worker.free)
    yield RUNNING.of(len(worker.running()))
    yield DRAINING.of(worker.draining)
    yield from _following(broadcast)
    yield from _lease(membership.lease, services)
    if isinstance(membership, Shared):
        yield from _heartbeat(membership.heartbeat)


def _following(broadcast: Broadcast) -> Iterable[Sample]:
    yield CHANNELS.of(broadcast.followed())
    yield STREAMS.of(broadcast.streams)
    yield GAPS.of(broadcast.gaps)
    yield RESETS.of(broadcast.resets)
    yield CUT_OFF.of(broadcast.cut_off)
    yield ASKS.of(broadcast.asks)


def _lease(lease: Lease, services: Services) -> Iterable[Sample]:
    yield VALID.of(lease.is_valid)
    if not isinf(lease.deadline):
        yield AGE.of(services.clock.monotonic() - lease.deadline + services.timing.lease)


def _heartbeat(heartbeat: Heartbeat) -> Iterable[Sample]:
    yield BEATS.of(heartbeat.beats)
    yield MISSES.of(heartbeat.misses)
    yield LAPSES.of(heartbeat.lapses)
    yield DEATHS.of(heartbeat.deaths)
