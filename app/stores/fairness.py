"""Which ready session comes next: of the tenant with the fewest running ones, then the one that waits longest."""

import heapq
from collections.abc import Iterable, Iterator, Mapping

from app.core.ids import TenantId
from app.core.keys import SessionKey
from app.stores.head import Head

Waiting = tuple[SessionKey, Head]
"""A session that nobody owns although it has something to do."""


def fairly(queues: Iterable[Iterable[Waiting]], running: Mapping[TenantId, int]) -> Iterator[Waiting]:
    """Yields the sessions of all tenants in the order in which they may run.

    Each queue holds one tenant's sessions, oldest first, and is read only as far as it is used. `running` counts the
    sessions each tenant has running; one that is yielded counts as running from then on.
    """
    line: list[tuple[int, float, SessionKey, Head, Iterator[Waiting]]] = []
    for queue in queues:
        _join(line, iter(queue), running)
    while line:
        count, _, key, head, rest = heapq.heappop(line)
        yield key, head
        _join(line, rest, {key.tenant: count + 1})


def _join(
    line: list[tuple[int, float, SessionKey, Head, Iterator[Waiting]]],
    queue: Iterator[Waiting],
    running: Mapping[TenantId, int],
) -> None:
    """Puts the oldest of a tenant's sessions in line. Keys differ, so that nothing after them is ever compared."""
    for key, head in queue:
        heapq.heappush(line, (running.get(key.tenant, 0), head.ready_at or 0.0, key, head, queue))
        return
