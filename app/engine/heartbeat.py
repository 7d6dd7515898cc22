"""The heartbeat: a thread of its own says that this replica lives, for as long as its event loop does."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from app.core.clock import Clock
from app.core.errors import BatonError, ReplicaDead, StoreUnavailable
from app.core.ids import Ids, Incarnation
from app.core.tasks import Tasks
from app.engine.interrupt import is_cancelled
from app.engine.lease import Lease, Timing
from app.stores.base import Replicas

log = logging.getLogger(__name__)

JOIN_SECONDS = 1.0
"""How long the thread may take to end; it holds nothing that would keep the process."""

Pulse = Callable[[], AbstractAsyncContextManager[Replicas]]
Post = Callable[[Callable[[], None]], object]
"""Has something called in the event loop that the replica works in."""


class Heartbeat:
    """Beats for the incarnation in force; one that is declared dead is followed by another.

    What belongs to which thread: `beat_forever` runs in the heartbeat's, and only reads `lease` and the last tick;
    everything else runs in the event loop that the replica works in.
    """

    def __init__(
        self,
        pulse: Pulse,
        clock: Clock,
        ids: Ids,
        timing: Timing,
        incarnation: Incarnation,
    ) -> None:
        self.lease = Lease(incarnation, clock, timing.lease)
        self.beats = 0
        self.misses = 0
        self.deaths = 0
        self._pulse = pulse
        self._clock = clock
        self._ids = ids
        self._timing = timing
        self._changed: Callable[[Lease], None] = lambda _: None
        self._lapses = 0
        self._ticked = clock.monotonic()
        self._begun = asyncio.Event()
        self._is_failing = False
        self._stop: Callable[[], object] = lambda: None
        self._thread: threading.Thread | None = None

    @property
    def lapses(self) -> int:
        """Gives how often the lease has lapsed, whatever the incarnation."""
        return self._lapses + self.lease.lapses

    @asynccontextmanager
    async def beating(self, changed: Callable[[Lease], None]) -> AsyncGenerator[None, None]:
        """The lease is valid when the body begins, and renewed while it runs. Raises StoreUnavailable.

        `changed` is told when the lease has become valid, and when there is another one, of another incarnation.
        """
        self._changed = changed
        async with Tasks() as tasks:
            tasks.start(self.tick_forever())
            self._start()
            try:
                await self._begin()
                yield
            finally:
                await self.stop()

    async def stop(self) -> None:
        """No heartbeat is sent any more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop()
            await asyncio.to_thread(thread.join, JOIN_SECONDS)

    async def tick_forever(self) -> None:
        """The event loop shows that it turns. Raises RuntimeError when the thread has ended that looks at it."""
        while True:
            if self._thread is not None and not self._thread.is_alive():
                raise RuntimeError("the heartbeat's thread has ended; without it this replica is as good as dead")
            self._ticked = self._clock.monotonic()
            await self._clock.sleep(min(self._timing.beat, self._timing.tick) / 4)

    def _start(self) -> None:
        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        stopped = asyncio.Event()
        self._stop = partial(_call_in, runner.get_loop(), stopped.set)
        post = partial(_call_in, asyncio.get_running_loop())
        work = (runner, self._live(post, stopped))
        self._thread = threading.Thread(target=_run, args=work, name="heartbeat", daemon=True)
        self._thread.start()

    async def _begin(self) -> None:
        try:
            async with asyncio.timeout(self._timing.lease):
                await self._begun.wait()
        except TimeoutError:
            raise StoreUnavailable(f"no heartbeat reached the store within {self._timing.lease:g} s") from None

    async def _live(self, post: Post, stopped: asyncio.Event) -> None:
        async with Tasks() as tasks:
            tasks.start(self.beat_forever(post))
            await stopped.wait()

    async def beat_forever(self, post: Post) -> None:
        """Beats over one connection after the other; what came of each beat is posted."""
        while True:
            try:
                async with self._connection() as replicas:
                    await self._beat_on(replicas, post)
            except (BatonError, OSError, TimeoutError) as error:
                self._complain(error)
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                log.exception("a heartbeat was cancelled by what it waited for")
            except Exception as error:
                log.exception("a heartbeat failed with an internal %s", type(error).__name__)
            post(self._miss)
            await self._clock.sleep(self._timing.beat / 4)

    def _complain(self, error: Exception) -> None:
        """The first of many failures is logged."""
        if not self._is_failing:
            log.warning("a heartbeat failed: %r", error, extra={"incarnation": self.lease.incarnation})
        self._is_failing = True

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Replicas, None]:
        """Gives a new connection; neither opening nor closing it takes longer than a beat may."""
        stack = AsyncExitStack()
        async with self._bound():
            replicas = await stack.enter_async_context(self._pulse())
        try:
            yield replicas
        finally:
            async with self._bound():
                await stack.aclose()

    async def _beat_on(self, replicas: Replicas, post: Post) -> None:
        while True:
            lease, sent = self.lease, self._clock.monotonic()
            if sent - self._ticked > self._timing.tick:
                post(self._miss)
            else:
                post(await self._beat(replicas, lease, sent))
            await self._clock.sleep(max(0.0, sent + self._timing.beat - self._clock.monotonic()))

    async def _beat(self, replicas: Replicas, lease: Lease, sent: float) -> Callable[[], None]:
        """Gives what the beat means for the lease. Raises TimeoutError and what the store raises."""
        try:
            async with self._bound():
                await replicas.beat(lease.incarnation)
        except ReplicaDead:
            return partial(self._rejoin, lease)
        self._is_failing = False
        return partial(self._renew, lease, sent)

    def _bound(self) -> asyncio.Timeout:
        return asyncio.timeout(self._timing.lease / 2)

    def _renew(self, lease: Lease, sent: float) -> None:
        was_valid = lease.is_valid
        lease.renew(sent)
        self.beats += 1
        if lease.is_valid and not was_valid:
            self._begun.set()
            self._changed(lease)

    def _miss(self) -> None:
        self.misses += 1
        self.lease.miss()

    def _rejoin(self, lease: Lease) -> None:
        """What that incarnation claimed is void, and another one joins in its place."""
        if lease is not self.lease:
            return
        lease.die()
        self.deaths += 1
        self._lapses += lease.lapses
        self.lease = Lease(Incarnation(self._ids.token()), self._clock, self._timing.lease)
        fields = {"incarnation": self.lease.incarnation, "dead": lease.incarnation}
        log.warning("this replica was declared dead, and joins again as another incarnation", extra=fields)
        self._changed(self.lease)


def _run(runner: asyncio.Runner, work: Coroutine[None, None, None]) -> None:
    with runner:
        runner.run(work)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """The callback is on its way; a loop that has ended needs none."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)
