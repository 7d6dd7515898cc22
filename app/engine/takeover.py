"""Taking over from the dead: tombstone first, then their sessions; whoever is tombstoned can never write again."""

import logging

from app.core.ids import Incarnation
from app.stores.base import Replicas, Sessions

log = logging.getLogger(__name__)

SWEEP_LIMIT = 256


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


async def sweep(sessions: Sessions, dead: Incarnation) -> int:
    """All sessions of a buried incarnation are ready, their claims void; gives how many."""
    total = 0
    while freed := await sessions.sweep(dead, SWEEP_LIMIT):
        total += freed
    return total
