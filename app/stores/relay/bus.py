"""The bus over a wire: what is live goes to those replicas that follow it, and to no others.

Every replica tells the others what it follows, as soon as somebody follows it here and again every 2 s; so the others
know whom to send what. A session that nobody follows elsewhere costs nothing: that is why a session which runs here
(`home`) is told only with the next renewal. Messages of somebody who is not at home in the session are for its owner,
and for followers not told of yet: they go to everybody.

Inside this replica messages take the shortest way, and none of them comes back over the wire.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from app.core.clock import Clock
from app.core.ids import Incarnation
from app.core.keys import SessionKey
from app.core.tasks import Tasks
from app.stores.bus import Announced, Delta, Live, OpenItems
from app.stores.memory.bus import MemoryBus
from app.stores.relay.inbox import Inbox
from app.stores.relay.interest import RENEW_SECONDS, Interest
from app.stores.relay.letters import Address, Following, Waking, address_of
from app.stores.relay.outbox import Outbox
from app.stores.relay.presence import Presence
from app.stores.relay.questions import Freight, Questions
from app.stores.relay.wire import Parcels, Wire

TELL_SECONDS = 1.0
"""How long a subscriber waits for the others to be told; after that they are told without its waiting."""
WAKE_SECONDS = 0.01
"""Wake-ups that come faster are one."""


class RelayBus:
    """Carries what is live between the replicas that share a wire."""

    def __init__(self, wire: Wire, incarnation: Incarnation, clock: Clock, parcels: Parcels | None = None) -> None:
        self.interest = Interest(clock)
        """What the other replicas follow."""
        self.outbox = Outbox(wire, incarnation, self.interest)
        """What waits to be sent."""
        self._wire = wire
        self._clock = clock
        self._local = MemoryBus()
        self._presence = Presence()
        self._tasks = Tasks()
        self._questions = Questions(incarnation, self.outbox)
        freight = Freight(parcels, self.outbox, self._questions) if parcels is not None else None
        self._inbox = Inbox(
            incarnation,
            self._local,
            self._presence,
            self.interest,
            self.outbox,
            self._questions,
            freight,
            self._tasks,
        )
        self._wakes_again = False
        self._rest: asyncio.TimerHandle | None = None

    @property
    def sent(self) -> int:
        """Gives how many payloads were sent."""
        return self.outbox.payloads

    @property
    def received(self) -> int:
        """Gives how many payloads came in."""
        return self._inbox.received

    @property
    def dropped(self) -> int:
        """Gives how many deltas were dropped."""
        return self.outbox.dropped

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Other replicas are heard, and hear us, while the body runs. Raises StoreUnavailable if the wire is down."""
        async with self._tasks as tasks, self._wire.open(self._inbox.receive, self._inbox.restart):
            self._inbox.restart()
            tasks.start(self.outbox.drain())
            tasks.start(self._renew_forever())
            yield

    async def subscribe(
        self, key: SessionKey, deliver: Callable[[Live], None], *, home: bool = False
    ) -> Callable[[], None]:
        stop = await self._local.subscribe(key, deliver)
        leave = self._presence.enter(key, home=home)

        def unsubscribe() -> None:
            stop()
            leave()

        try:
            if not home:
                await self._tell(address_of(key))
        except BaseException:
            unsubscribe()
            raise
        return unsubscribe

    def publish(self, key: SessionKey, message: Live) -> None:
        self._local.publish(key, message)
        if isinstance(message, Delta) and not self.interest:
            return
        session = address_of(key)
        everybody = self._is_for_everybody(session, message)
        if everybody or session in self.interest:
            self.outbox.publish(session, message, everybody=everybody)

    async def on_wake(self, deliver: Callable[[], None]) -> Callable[[], None]:
        return await self._local.on_wake(deliver)

    def wake(self) -> None:
        self._local.wake()
        if self._rest is not None:
            self._wakes_again = True
            return
        self._wake_others()

    async def answer(self, key: SessionKey, owner: Callable[[], OpenItems]) -> Callable[[], None]:
        stop = await self._local.answer(key, owner)
        leave = self._presence.enter(key, home=True)

        def resign() -> None:
            stop()
            leave()

        return resign

    async def ask(self, key: SessionKey, timeout: float) -> OpenItems | None:
        """Gives the open items of the owner here, if there is one; else whoever answers first is the owner."""
        items = self._local.open_items(key)
        return items if items is not None else await self._questions.ask(address_of(key), timeout)

    def _is_for_everybody(self, session: Address, message: Live) -> bool:
        match message:
            case Delta():
                return False
            case Announced():
                return not self._presence.is_home(session)
            case _:
                return True

    async def _tell(self, session: Address) -> None:
        """Everybody was told that the session is followed here, or will be with the next renewal."""
        if self._presence.is_told(session):
            return
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self.outbox.told(Following((session,)))
        except TimeoutError:
            return
        self._presence.tell((session,))

    async def _renew_forever(self) -> None:
        """What is followed here is told again and again, so that it does not expire elsewhere."""
        while True:
            await self._clock.sleep(RENEW_SECONDS)
            self.interest.prune()
            self._inbox.renew()
            await self.outbox.emptied()

    def _wake_others(self) -> None:
        self.outbox.tell(None, Waking())
        self._wakes_again = False
        self._rest = asyncio.get_running_loop().call_later(WAKE_SECONDS, self._rested)

    def _rested(self) -> None:
        self._rest = None
        if self._wakes_again:
            self._wake_others()
