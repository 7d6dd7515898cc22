"""Broadcast: this replica's channels, one for each session that somebody follows here."""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager

from app.core.clock import Clock
from app.core.errors import BatonError
from app.core.ids import Birth
from app.core.keys import SessionKey
from app.engine.channel import Channel
from app.engine.tasks import Tasks
from app.stores.base import Heads, Sessions
from app.stores.bus import Announced, Bus, Gone

log = logging.getLogger(__name__)

TICK_SECONDS = 2.0
KEEP_ALIVE_TICKS = 7
"""A comment every 14 s keeps proxies from closing a silent stream."""
PRIMED_SECONDS = 5.0
"""How long a channel waits for the follower that it was opened for."""


class Broadcast:
    """This replica's channels: one upstream subscription per followed session, whatever the number of followers."""

    def __init__(self, sessions: Sessions, heads: Heads, bus: Bus, clock: Clock) -> None:
        self.sessions = sessions
        self.bus = bus
        self.clock = clock
        self.closing = False
        self._heads = heads
        self._channels: dict[SessionKey, _Held] = {}
        self._tasks = Tasks()

    @asynccontextmanager
    async def broadcasting(self) -> AsyncGenerator[None, None]:
        """Channels work while the body runs; then every follower's stream ends."""
        async with self._tasks:
            self._tasks.start(self._tick_forever())
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
    async def following(self, key: SessionKey) -> AsyncGenerator[Channel, None]:
        """Gives the session's channel, subscribed, for as long as the body runs."""
        held = await self._hold(key)
        try:
            yield held.channel
        finally:
            self._let_go(key, held)

    async def prime(self, key: SessionKey, birth: Birth, seq: int, epoch: int) -> None:
        """The channel is open before the run's first delta, so that its first follower needs no replay."""
        held = await self._hold(key, birth)
        held.channel.begin(birth, seq, epoch)
        asyncio.get_running_loop().call_later(PRIMED_SECONDS, self._let_go, key, held)

    def followed(self) -> int:
        """Gives the number of open channels."""
        return len(self._channels)

    async def _hold(self, key: SessionKey, birth: Birth | None = None) -> "_Held":
        """Gives the session's channel; another log under the same key gets another channel."""
        held = self._channels.get(key)
        if held is None or held.channel.gone or birth not in {None, held.channel.birth or birth}:
            held = self._channels[key] = _Held(Channel(key, self.sessions, self.bus, self._spawn))
            held.followers = 1
            try:
                held.stop = await self.bus.subscribe(key, held.channel.deliver)
            except BaseException:
                self._let_go(key, held)
                raise
        else:
            held.followers += 1
        return held

    def _let_go(self, key: SessionKey, held: "_Held") -> None:
        held.followers -= 1
        if not held.followers:
            if held.stop is not None:
                held.stop()
            if self._channels.get(key) is held:
                del self._channels[key]

    def _spawn(self, work: Coroutine[None, None, None]) -> object:
        """Starts what a channel needs, unless its followers are being sent away."""
        return work.close() if self.closing else self._tasks.start(work)

    async def _tick_forever(self) -> None:
        """Makes up for lost announcements: one bulk read of the heads that are followed here."""
        for tick in itertools.count(1):
            await self.clock.sleep(TICK_SECONDS)
            channels = [held.channel for held in self._channels.values() if held.channel.has_begun]
            await self._check(channels)
            if tick % KEEP_ALIVE_TICKS == 0:
                for channel in channels:
                    channel.beat()

    async def _check(self, channels: list[Channel]) -> None:
        try:
            heads = await self._heads.peek([channel.key for channel in channels]) if channels else {}
        except BatonError as error:
            log.warning("could not look at the sessions that are followed: %s", error)
            return
        for channel in channels:
            head = heads.get(channel.key)
            if head is not None:
                channel.deliver(Announced(head.birth, head.seq))
            elif channel.birth is not None:
                channel.deliver(Gone(channel.birth))


class _Held:
    """A channel and how many hold it."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.followers = 0
        self.stop: Callable[[], None] | None = None
