"""Broadcast: this replica's channels, one for each session that somebody follows here, or did a moment ago."""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from math import inf

from app.core.clock import Clock
from app.core.errors import BatonError, StoreUnavailable
from app.core.ids import Birth
from app.core.keys import SessionKey
from app.core.tasks import Tasks
from app.engine.asking import Asking
from app.engine.channel import Channel
from app.engine.heads import look
from app.stores.base import Heads, Sessions
from app.stores.bus import Announced, Bus, Gone, OpenItems
from app.stores.head import Head

log = logging.getLogger(__name__)

TICK_SECONDS = 2.0
KEEP_ALIVE_TICKS = 7
"""A comment every 14 s keeps proxies from closing a silent stream; at each tick, a seventh of the channels send it."""
LINGER_SECONDS = 5.0
"""How long a channel that nobody follows stays open, at the least: a client that comes back finds what it missed."""
LINGERING = 256
"""Channels that may linger; beyond it the one that has been left for longest is closed."""
ASK_SECONDS = 0.5
"""How long an owner may take to say what it shows."""


class Broadcast:
    """This replica's channels: one upstream subscription per session, whatever the number of followers."""

    def __init__(self, sessions: Sessions, heads: Heads, bus: Bus, clock: Clock) -> None:
        self.sessions = sessions
        self.closing = False
        self.streams = 0
        """Followers at this moment. The other figures only rise."""
        self.gaps = 0
        self.resets = 0
        self.cut_off = 0
        """Followers that were too slow."""
        self.asks = 0
        self._bus = bus
        self._clock = clock
        self._heads = heads
        self._channels: dict[SessionKey, _Held] = {}
        self._lingering: dict[_Held, None] = {}
        """The one that was left first comes first."""
        self._numbers = itertools.count()
        self._tasks = Tasks()
        self._asking = Asking(self._put, self._tasks)

    @asynccontextmanager
    async def broadcasting(self) -> AsyncGenerator[None, None]:
        """Channels work while the body runs; then every follower's stream ends."""
        async with self._tasks:
            self._tasks.start(self._tick_forever())
            self._tasks.start(self._check_forever())
            try:
                yield
            finally:
                self.close()

    def close(self) -> None:
        """Every stream ends after what it has; clients reconnect elsewhere."""
        self.closing = True
        for held in self._channels.values():
            held.channel.pulse()

    @asynccontextmanager
    async def following(self, key: SessionKey, *, home: bool = False) -> AsyncGenerator[Channel, None]:
        """Gives the session's channel, subscribed, for as long as the body runs. `home`: the session runs here."""
        held = await self._hold(key, home=home)
        self.streams += 1
        try:
            yield held.channel
        finally:
            self.streams -= 1
            self._let_go(held)

    async def prime(self, key: SessionKey, birth: Birth, seq: int, epoch: int) -> None:
        """The channel is open before the run's first delta, so that its first follower needs no replay."""
        held = await self._hold(key, birth, home=True)
        held.channel.begin(birth, seq, epoch, 0)
        self._let_go(held)

    def followed(self) -> int:
        """Gives the number of open channels."""
        return len(self._channels)

    def spawn(self, work: Coroutine[None, None, None]) -> object:
        """Starts what a channel needs, unless its followers are being sent away."""
        return work.close() if self.closing else self._tasks.start(work)

    async def ask(self, key: SessionKey) -> OpenItems | None:
        """Gives the owner's open items, or None when nobody answers in time. Who asks at once shares the answer."""
        return None if self.closing else await self._asking.ask(key)

    async def _put(self, key: SessionKey) -> OpenItems | None:
        self.asks += 1
        return await self._bus.ask(key, ASK_SECONDS)

    async def _hold(self, key: SessionKey, birth: Birth | None = None, *, home: bool) -> "_Held":
        """Gives the session's channel, subscribed; another log under the same key gets another channel."""
        held = self._channels.get(key)
        if held is None or held.is_over or birth not in {None, held.channel.birth or birth}:
            held = self._channels[key] = _Held(Channel(key, self), next(self._numbers))
        held.holders += 1
        self._lingering.pop(held, None)
        try:
            await held.subscribe(self._bus, home=home)
        except BaseException:
            self._let_go(held)
            raise
        return held

    def _let_go(self, held: "_Held") -> None:
        held.holders -= 1
        if held.holders:
            return
        held.left_at = self._clock.monotonic()
        self._lingering[held] = None
        if held.is_over:
            self._close(held)
        elif len(self._lingering) > LINGERING:
            self._close(next(iter(self._lingering)))

    def _close_lingering(self) -> None:
        """Channels that were left long ago are closed; so are those that will say nothing more."""
        before = self._clock.monotonic() - LINGER_SECONDS
        for held in tuple(self._lingering):
            if held.left_at <= before or held.is_over:
                self._close(held)

    def _close(self, held: "_Held") -> None:
        del self._lingering[held]
        held.unsubscribe()
        if self._channels.get(held.channel.key) is held:
            del self._channels[held.channel.key]

    async def _tick_forever(self) -> None:
        """Tells silent followers that all is well, whatever the store does, and closes what nobody comes back to."""
        for tick in itertools.count():
            await self._clock.sleep(TICK_SECONDS)
            self._close_lingering()
            for held in tuple(self._channels.values()):
                if (held.number + tick) % KEEP_ALIVE_TICKS == 0:
                    held.channel.beat()

    async def _check_forever(self) -> None:
        """Makes up for lost announcements: the heads that are followed here are read, in bulk."""
        while True:
            await self._clock.sleep(TICK_SECONDS)
            try:
                await self._check()
            except BatonError as error:
                log.warning("could not look at the sessions that are followed: %s", error)
            except Exception:
                log.exception("could not look at the sessions that are followed")

    async def _check(self) -> None:
        channels = [held.channel for held in self._channels.values() if held.channel.has_begun]
        heads = await look(self._heads, [channel.key for channel in channels])
        for channel in channels:
            if channel.key in heads:
                _compare(channel, heads[channel.key])


def _compare(channel: Channel, head: Head | None) -> None:
    """The channel knows what its session's head says."""
    if head is None:
        channel.deliver(Gone(channel.birth or Birth("")))
    elif head.birth == channel.birth and head.seq > channel.ring.seq:
        channel.expect(head.seq)
    elif head.birth != channel.birth or head.seq < channel.ring.seq:
        channel.deliver(Announced(head.birth, head.seq))


class _Held:
    """A channel, how many hold it, and its subscription."""

    def __init__(self, channel: Channel, number: int) -> None:
        self.channel = channel
        self.number = number
        self.holders = 0
        self.left_at = inf
        self._failed = False
        self._is_home = False
        self._stop: Callable[[], None] | None = None
        self._subscribing = asyncio.Lock()

    @property
    def is_over(self) -> bool:
        """Says whether whoever comes now needs another channel."""
        return self.channel.gone or self._failed

    async def subscribe(self, bus: Bus, *, home: bool) -> None:
        """What is published for the session arrives. Raises StoreUnavailable, to all who wait for the same attempt."""
        if self._stop is not None and (home or not self._is_home):
            return
        async with self._subscribing:
            if self._failed:
                raise StoreUnavailable("the bus could not be subscribed to; try again")
            if self._stop is None or (self._is_home and not home):
                await self._attempt(bus, home=home)

    async def _attempt(self, bus: Bus, *, home: bool) -> None:
        """A subscription that others are told of takes the place of one that was only for the owner's own replica."""
        try:
            stop = await bus.subscribe(self.channel.key, self.channel.deliver, home=home)
        except Exception:
            self._failed = self._stop is None
            raise
        self.unsubscribe()
        self._stop, self._is_home = stop, home

    def unsubscribe(self) -> None:
        """Nothing arrives any more."""
        if self._stop is not None:
            self._stop()
            self._stop = None
