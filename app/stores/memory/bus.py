"""The bus inside one process: messages reach their subscribers in the event loop's next turn, in order."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from app.core.keys import SessionKey
from app.stores.bus import Live, OpenItems

T = TypeVar("T")


class _Subscription(Generic[T]):
    """One subscriber. Nothing reaches it after `stop`, not even what was on its way."""

    def __init__(self, deliver: Callable[[T], None], stop: Callable[["_Subscription[T]"], None]) -> None:
        self._deliver: Callable[[T], None] | None = deliver
        self._stop = stop

    def receive(self, message: T) -> None:
        if self._deliver is not None:
            self._deliver(message)

    def stop(self) -> None:
        if self._deliver is not None:
            self._deliver = None
            self._stop(self)


class _Post:
    """What is on its way: all of it is delivered in the event loop's next turn, for the price of one callback."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sent: list[tuple[_Subscription[Any], Any]] = []

    def send(self, subscription: _Subscription[T], message: T) -> None:
        if not self._sent:
            self._loop.call_soon(self._deliver)
        self._sent.append((subscription, message))

    def _deliver(self) -> None:
        sent, self._sent = self._sent, []
        for subscription, message in sent:
            subscription.receive(message)


class MemoryBus:
    """Carries what is live between the parts of one process. It loses nothing, but nobody may rely on that."""

    def __init__(self) -> None:
        self._post = _Post()
        self._followers: dict[SessionKey, list[_Subscription[Live]]] = {}
        self._sleepers: list[_Subscription[None]] = []
        self._owners: dict[SessionKey, list[Callable[[], OpenItems]]] = {}

    async def subscribe(
        self, key: SessionKey, deliver: Callable[[Live], None], *, home: bool = False
    ) -> Callable[[], None]:
        subscription = _Subscription(deliver, lambda one: self._unfollow(key, one))
        self._followers.setdefault(key, []).append(subscription)
        return subscription.stop

    def _unfollow(self, key: SessionKey, subscription: _Subscription[Live]) -> None:
        self._followers[key].remove(subscription)
        if not self._followers[key]:
            del self._followers[key]

    def publish(self, key: SessionKey, message: Live) -> None:
        for subscription in self._followers.get(key, ()):
            self._post.send(subscription, message)

    async def on_wake(self, deliver: Callable[[], None]) -> Callable[[], None]:
        def ring(_: None) -> None:
            deliver()

        subscription = _Subscription(ring, self._sleepers.remove)
        self._sleepers.append(subscription)
        return subscription.stop

    def wake(self) -> None:
        for subscription in self._sleepers:
            self._post.send(subscription, None)

    async def answer(self, key: SessionKey, owner: Callable[[], OpenItems]) -> Callable[[], None]:
        self._owners.setdefault(key, []).append(owner)

        def stop() -> None:
            owners = [other for other in self._owners.get(key, ()) if other is not owner]
            if owners:
                self._owners[key] = owners
            else:
                self._owners.pop(key, None)

        return stop

    async def ask(self, key: SessionKey, timeout: float) -> OpenItems | None:
        """Gives the newest owner's open items; nobody else can answer within the timeout, so None comes at once."""
        return self.open_items(key)

    def open_items(self, key: SessionKey) -> OpenItems | None:
        """Gives the newest owner's open items, or None if nobody owns the session here."""
        owners = self._owners.get(key)
        return owners[-1]() if owners else None
