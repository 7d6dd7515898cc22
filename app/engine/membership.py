"""Membership: how a replica joins the others, stays one of them, and leaves."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from app.core.errors import BatonError
from app.core.tasks import Tasks
from app.engine.heartbeat import Heartbeat, Pulse
from app.engine.lease import Lease
from app.engine.services import Services
from app.engine.sweeper import Sweeper
from app.engine.takeover import bury_predecessors, bury_self

log = logging.getLogger(__name__)

LEAVE_SECONDS = 2.0
"""How long taking leave may last; who does not manage it is found dead by the others."""

Changed = Callable[[Lease], None]


class Membership(Protocol):
    """One replica's place among all that share its store."""

    @property
    def lease(self) -> Lease:
        """Gives the lease of the incarnation in force."""
        ...

    def joined(self, changed: Changed) -> AbstractAsyncContextManager[None]:
        """The replica may act while the body runs; `changed` is told of every lease that begins to count.

        It is only cut off at the end, as by a crash: the others will find it dead. Raises StoreUnavailable.
        """
        ...

    async def leave(self, *, is_settled: bool) -> None:
        """The replica owns nothing any more and does nothing more, or the others will see to that. Never raises.

        `is_settled`: it had nothing left, and no request of its own can still arrive.
        """
        ...


class Sole:
    """The only replica of its store, by the store's lock: whoever was there before it is dead."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lease = Lease.endless(services.incarnation, services.clock)

    @property
    def lease(self) -> Lease:
        return self._lease

    @asynccontextmanager
    async def joined(self, changed: Changed) -> AsyncGenerator[None, None]:
        stores = self._services.stores
        await bury_predecessors(stores.replicas, stores.sessions, self._services.incarnation)
        yield

    async def leave(self, *, is_settled: bool) -> None:
        pass


class Shared:
    """One replica of many: it beats, and declares dead who does not."""

    def __init__(self, services: Services, pulse: Pulse) -> None:
        clock, timing = services.clock, services.timing
        self.heartbeat = Heartbeat(pulse, clock, services.ids, timing, services.incarnation)
        self.sweeper = Sweeper(services.stores, clock, timing, lambda: self.lease)
        self._stores = services.stores

    @property
    def lease(self) -> Lease:
        return self.heartbeat.lease

    @asynccontextmanager
    async def joined(self, changed: Changed) -> AsyncGenerator[None, None]:
        async with self.heartbeat.beating(changed), Tasks() as tasks:
            tasks.start(self.sweeper.sweep_forever())
            yield

    async def leave(self, *, is_settled: bool) -> None:
        self.lease.die()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self.heartbeat.stop()
                freed = await bury_self(self._stores, self.lease.incarnation, is_settled=is_settled)
        except (BatonError, TimeoutError) as error:
            log.warning("could not take leave: %r", error, extra={"incarnation": self.lease.incarnation})
        else:
            log.info("left the other replicas", extra={"incarnation": self.lease.incarnation, "sessions": freed})


def membership(services: Services) -> Membership:
    """Gives the replica's membership, as its store demands it."""
    pulse = services.stores.pulse
    return Sole(services) if pulse is None else Shared(services, pulse)
