"""Taking over from the dead: tombstone first, then their sessions; whoever is tombstoned can never write again."""

import logging

from app.core.ids import Incarnation
from app.stores.base import Replicas, Sessions
from app.stores.bundle import Stores

log = logging.getLogger(__name__)

SWEEP_LIMIT = 256
LATE_SECONDS = 600.0
"""How long a request that nobody waits for any more may still arrive at the store, and claim for its sender."""


async def bury_predecessors(replicas: Replicas, sessions: Sessions, incarnation: Incarnation) -> int:
    """Every other incarnation is buried and its sessions are ready; gives how many.

    For a store that admits one process: its lock proves that the others are dead, and no lease has to pass.
    """
    await replicas.beat(incarnation)
    for beat in await replicas.live():
        if beat.incarnation != incarnation:
            await replicas.bury(beat)
    freed = 0
    for dead in await replicas.buried():
        freed += await sweep(sessions, dead)
        await replicas.forget(dead)
    if freed:
        log.warning("took over from a server that stopped without letting go; sessions: %d", freed)
    return freed


async def bury_self(stores: Stores, incarnation: Incarnation, *, is_settled: bool) -> int:
    """The incarnation, which beats no more, is dead, and its sessions are ready; gives how many.

    Its tombstone is left to the others, lest a request of its own that arrives late claims a session for ever; there is
    none if it `is_settled`: it owned nothing, and every request of its own was answered.
    """
    freed = 0
    own = next((beat for beat in await stores.replicas.live() if beat.incarnation == incarnation), None)
    if own is None or not await stores.replicas.bury(own):
        return freed
    freed = await sweep(stores.sessions, incarnation)
    if freed:
        stores.bus.wake()
    elif is_settled:
        await stores.replicas.forget(incarnation)
    return freed


async def sweep(sessions: Sessions, dead: Incarnation) -> int:
    """All sessions of a buried incarnation are ready, their claims void; gives how many."""
    total = 0
    while freed := await sessions.sweep(dead, SWEEP_LIMIT):
        total += freed
    return total
