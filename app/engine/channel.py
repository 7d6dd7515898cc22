"""A channel: one session's frames on this replica, in one ring that all its followers share."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import islice

from app.core.errors import BatonError
from app.core.ids import Birth
from app.core.keys import SessionKey
from app.core.records import Entry
from app.engine.frames import Closing, Cursor, Frame, delta_frame, gap_frame, record_frame, snapshot_frame
from app.stores.base import Sessions
from app.stores.bus import Announced, Bus, Delta, Gone, Live, Nudge

RING_FRAMES = 2048
RING_BYTES = 1024 * 1024
BACKLOG = 4096
"""Messages that may wait while the channel reads the store."""
ASK_SECONDS = 0.5
"""How long the owner may take to say what it shows."""
PAGE = 256
UNKNOWN = 1 << 62
"""The delta floor of a channel that began in the middle of an epoch."""


class Channel:
    """Turns what the bus tells into frames, in the log's order. What the bus lost is read from the store.

    `floor` is the seq below which the ring has nothing; of epoch `epoch` it has the deltas after `delta_floor`.
    """

    def __init__(
        self, key: SessionKey, sessions: Sessions, bus: Bus, spawn: Callable[[Coroutine[None, None, None]], object]
    ) -> None:
        self.key = key
        self.birth: Birth | None = None
        self.seq = 0
        self.epoch = 0
        self.gone = False
        self.floor = 0
        self.delta_floor = 0
        self.first = 0
        """The position of the ring's first frame; positions only grow."""
        self.beats = 0
        """Rises whenever followers that have nothing to say should say that they are alive."""
        self._d = 0
        self._ring: deque[Frame] = deque()
        self._bytes = 0
        self._sessions = sessions
        self._bus = bus
        self._spawn = spawn
        self._followers: list[asyncio.Future[None]] = []
        self._waiting: list[Live] | None = []
        """What came while the channel could not take it: before it began, or while it reads the store."""

    @property
    def end(self) -> int:
        """Gives the position after the newest frame."""
        return self.first + len(self._ring)

    @property
    def has_begun(self) -> bool:
        """Says whether the channel knows where in the log it is."""
        return self.birth is not None

    def begin(self, birth: Birth, seq: int, epoch: int = 0) -> None:
        """The channel goes on after `seq`; of that epoch, if it is given, nothing was shown yet."""
        if not self.has_begun:
            self.birth, self.seq, self.floor, self.epoch = birth, seq, seq, epoch
            self.delta_floor = 0 if epoch else UNKNOWN
            self._catch_up()

    def since(self, position: int) -> list[Frame]:
        """Gives the frames from a position on."""
        skipped = position - self.first
        return [self._ring[i] for i in range(skipped, len(self._ring))]

    def position_after(self, cursor: Cursor) -> int | None:
        """Gives the position from which the ring alone continues a cursor, or None when it cannot."""
        if not self.has_begun or cursor.birth != self.birth or not self.floor <= cursor.seq <= self.seq:
            return None
        if cursor.d:
            known = cursor.epoch == self.epoch and self.delta_floor <= cursor.d <= self._d
            return self._after_delta(cursor) if known else None
        position = self._after_record(cursor.seq)
        return None if self._is_open_before(position) else position

    def deliver(self, message: Live) -> None:
        """The message's frames are in the ring, or will be when what came before it is."""
        if self._waiting is None:
            self._take(message)
        elif len(self._waiting) < BACKLOG:
            self._waiting.append(message)
        else:
            self._end()

    def news(self) -> asyncio.Future[None]:
        """Gives what is done at the next pulse, for one follower to wait for."""
        follower = asyncio.get_running_loop().create_future()
        self._followers.append(follower)
        return follower

    def pulse(self) -> None:
        """Every follower looks at the ring."""
        followers, self._followers = self._followers, []
        for follower in followers:
            if not follower.done():
                follower.set_result(None)

    def beat(self) -> None:
        """Every follower sends a keep-alive."""
        self.beats += 1
        self.pulse()

    def _take(self, message: Live) -> None:
        match message:
            case Delta():
                self._take_delta(message)
            case Announced():
                self._take_announced(message)
            case Gone():
                self._end()
            case Nudge():
                pass

    def _take_delta(self, delta: Delta) -> None:
        if delta.birth != self.birth or delta.epoch < self.epoch:
            return
        if delta.seq > self.seq:
            self._waiting = [delta]
            self._spawn(self._read(delta.seq))
            return
        if delta.epoch > self.epoch:
            self.epoch, self._d = delta.epoch, 0
        if not self._d:
            self.delta_floor = delta.d - 1
        elif delta.d > self._d + 1:
            self._waiting = [delta]
            self._spawn(self._heal(delta))
            return
        if delta.d > self._d:
            self._d = delta.d
            self._put(delta_frame(delta, self.seq))

    def _take_announced(self, announced: Announced) -> None:
        if announced.birth != self.birth:
            self._end()
            return
        fresh = [entry for entry in announced.entries if entry.seq > self.seq]
        if fresh and fresh[0].seq == self.seq + 1:
            self._append(fresh)
        if announced.seq > self.seq:
            self._waiting = []
            self._spawn(self._read(announced.seq))

    def _append(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.seq = entry.seq
            self._put(record_frame(self.birth or Birth(""), entry))

    async def _read(self, seq: int) -> None:
        """What the announcement did not carry is read from the store; then what waited is taken."""
        try:
            while self.seq < seq and not self.gone:
                page = await self._sessions.read(self.key, self.seq, PAGE)
                if page.head.birth != self.birth or not page.entries:
                    self._end()
                self._append(list(page.entries))
        except BatonError:
            self._end()
        self._catch_up()

    def _catch_up(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        if self.gone:
            return
        for i, message in enumerate(waiting):
            if self._waiting is not None:
                self._waiting += waiting[i:]
                break
            self._take(message)

    async def _heal(self, delta: Delta) -> None:
        """Deltas were lost on the way: the followers are told, and get the open items whole before the next delta."""
        self._put(gap_frame(delta, self.seq, self._d + 1))
        opened = await self._bus.ask(self.key, ASK_SECONDS)
        self._d = delta.d - 1
        if opened is not None and (opened.birth, opened.epoch) == (self.birth, self.epoch):
            for text in opened.items:
                self._put(snapshot_frame(opened, text, max(self.seq, opened.seq)))
            self._d = max(self._d, opened.d)
        self._catch_up()

    def _put(self, frame: Frame) -> None:
        self._ring.append(frame)
        self._bytes += len(frame.data)
        while len(self._ring) > RING_FRAMES or (self._bytes > RING_BYTES and len(self._ring) > 1):
            self._drop()
        self.pulse()

    def _drop(self) -> None:
        dropped = self._ring.popleft()
        self.first += 1
        self._bytes -= len(dropped.data)
        if dropped.is_extra:
            return
        if not dropped.d:
            self.floor = max(self.floor, dropped.seq)
        elif dropped.epoch == self.epoch:
            self.delta_floor = dropped.d

    def _end(self) -> None:
        self.gone = True
        self.pulse()

    def _after_record(self, seq: int) -> int:
        """Gives the position after the record `seq`, which may be the last one that is not in the ring."""
        for i, frame in enumerate(reversed(self._ring)):
            if not frame.d and not frame.is_extra and frame.seq <= seq:
                return self.end - i
        return self.first

    def _after_delta(self, cursor: Cursor) -> int | None:
        """Gives the position after both the cursor's record and its delta, or None if other deltas came before it."""
        position = self._after_record(cursor.seq)
        for i, frame in enumerate(self._ring):
            if frame.epoch == cursor.epoch and frame.d > cursor.d:
                return position if position <= self.first + i else None
            if frame.epoch == cursor.epoch and frame.d == cursor.d:
                position = max(position, self.first + i + 1)
        return position

    def _is_open_before(self, position: int) -> bool:
        """Says whether an item that was shown before the position may still be open there."""
        if self.delta_floor:
            return True
        closings: list[Closing] = []
        for frame in islice(reversed(self._ring), self.end - position, None):
            if frame.begins:
                return False
            if frame.closing is not None:
                closings.append(frame.closing)
            item = frame.item
            if item is not None and not any(closing.closes(item) for closing in closings):
                return True
        return False
