"""The bus inside one process: messages reach their subscribers in the event loop's next turn, in order."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from app.core.keys import SessionKey
from app.stores.bus import Live, OpenItems

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Subscription(Generic[T]):
    """One subscriber. Nothing reaches it after `stop`, not even what was on its way."""

    def __init__(self, deliver: Callable[[T], None], stop: Callable[["_Subscription[T]"], None]) -> None:
        self.deliver: Callable[[T], None] | None = deliver
        self._stop = stop

    def stop(self) -> None:
        if self.deliver is not None:
            self.deliver = None
            self._stop(self)


class _Post:
    """What is on its way: all of it is delivered in the event loop's next turn, for the price of one callback."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sent: list[tuple[tuple[_Subscription[Any], ...], Any]] = []

    def send(self, subscriptions: tuple[_Subscription[T], ...], message: T) -> None:
        """The message will reach those of them that have not stopped by then."""
        if not self._sent:
            self._loop.call_soon(self._deliver)
        self._sent.append((subscriptions, message))

    def _deliver(self) -> None:
        sent, self._sent = self._sent, []
        for subscriptions, message in sent:
            for subscription in subscriptions:
                try:
                    if subscription.deliver is not None:
                        subscription.deliver(message)
                except Exception:  # the others are to hear theirs
                    log.exception("a subscriber failed")


class MemoryBus:
    """Carries what is live between the parts of one process. It loses nothing, but nobody may rely on that."""

    def __init__(self) -> None:
        self._post = _Post()
        self._followers: dict[SessionKey, tuple[_Subscription[Live], ...]] = {}
        self._sleepers: list[_Subscription[None]] = []
        self._owners: dict[SessionKey, list[Callable[[], OpenItems]]] = {}

    async def subscribe(
        self, key: SessionKey, deliver: Callable[[Live], None], *, home: bool = False
    ) -> Callable[[], None]:
        subscription = _Subscription(deliver, lambda one: self._unfollow(key, one))
        self._followers[key] = (*self._followers.get(key, ()), subscription)
        return subscription.stop

    def _unfollow(self, key: SessionKey, subscription: _Subscription[Live]) -> None:
        others = tuple(other for other in self._followers[key] if other is not subscription)
        if others:
            self._followers[key] = others
        else:
            del self._followers[key]

    def publish(self, key: SessionKey, message: Live) -> None:
        followers = self._followers.get(key)
        if followers is not None:
            self._post.send(followers, message)

    async def on_wake(self, deliver: Callable[[], None]) -> Callable[[], None]:
        def ring(_: None) -> None:
            deliver()

        subscription = _Subscription(ring, self._sleepers.remove)
        self._sleepers.append(subscription)
        return subscription.stop

    def wake(self) -> None:
        self._post.send(tuple(self._sleepers), None)

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
