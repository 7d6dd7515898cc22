"""A channel: one session on this replica, from what the bus tells and the store has to frames in the log's order."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Protocol

from app.core.errors import BatonError
from app.core.ids import Birth
from app.core.keys import SessionKey
from app.core.records import Entry
from app.engine.frames import Cursor, delta_frame, gap_frame, record_frame, snapshot_frames
from app.engine.ring import Ring
from app.engine.witness import contradicts, has_lost, standing
from app.stores.base import Sessions
from app.stores.bus import Announced, Delta, Gone, Live, Nudge, OpenItems

log = logging.getLogger(__name__)

BACKLOG = 4096
"""Messages that may wait while the channel reads the store."""
EARLY = 64
"""Announced records that may wait for their predecessors."""
EXPECT_SECONDS = 1.5
"""How long a writer's announcement may take; a bus under load gathers for half a second, and is late."""
PAGE = 256


class Host(Protocol):
    """What a channel needs of the broadcast."""

    sessions: Sessions
    gaps: int

    def spawn(self, work: Coroutine[None, None, None]) -> object:
        """The work is under way, unless the followers are being sent away."""
        ...

    async def ask(self, key: SessionKey) -> OpenItems | None:
        """Gives the owner's open items, or None when nobody answers in time."""
        ...


class Channel:
    """Fills a ring with one log's frames. What the bus lost is read from the store, or asked of the owner.

    Of each epoch it passes on only deltas that continue what its followers were shown. Where one does not, the owner is
    asked for the open items, and they are shown whole.
    """

    def __init__(self, key: SessionKey, host: Host) -> None:
        self.key = key
        self.birth: Birth | None = None
        self.ring = Ring()
        self.gone = False
        """Whether nothing more will come: the session was deleted, or the channel lost track of it."""
        self.stands: int | None = None
        """Once the store has lost what was shown: the last record that is still as it was."""
        self.beats = 0
        """Rises whenever followers that have nothing to say should say that they are alive."""
        self._host = host
        self._is_whole = True
        """Whether every follower has the open items as of the last delta."""
        self._early: dict[int, Entry] = {}
        """Announced records whose predecessors were not yet."""
        self._followers: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._waiting: list[Live] | None = []
        """What came while the channel could not take it: before it began, or while it reads or asks."""

    @property
    def has_begun(self) -> bool:
        """Says whether the channel knows where in the log it is."""
        return self.birth is not None

    def begin(self, birth: Birth, seq: int, epoch: int, d: int | None) -> None:
        """The channel goes on after `seq`, and after delta `d` of that epoch; None: nobody knows which there were.

        One that has begun before only learns that another epoch begins.
        """
        if not self.has_begun:
            self.birth = birth
            self.ring.begin(seq, epoch, d)
            self._catch_up()
        elif d == 0 and epoch > self.ring.epoch:
            self._turn(epoch)
            self.ring.fresh = seq

    def position_after(self, cursor: Cursor) -> int | None:
        """Gives the position from which the ring alone continues a cursor, or None when it cannot."""
        return self.ring.position_after(cursor, self.birth) if self._is_whole else None

    def miss(self) -> None:
        """A follower does not know what is open, because the owner did not say: before the next delta it is told."""
        self._is_whole = False

    def expect(self, seq: int) -> None:
        """The records up to `seq` will be in the ring: as their writers announce them, or else from the store.

        The owner's come after the deltas that they close, so whoever reads them at once overtakes these.
        """
        if seq > self.ring.seq and not self.gone:
            asyncio.get_running_loop().call_later(EXPECT_SECONDS, self._look, seq)

    def _look(self, seq: int) -> None:
        if self._waiting is not None:
            self.expect(seq)
        elif seq > self.ring.seq and not self.gone:
            self._pause(partial(self._read, seq))

    def deliver(self, message: Live) -> None:
        """The message's frames are in the ring, or will be when what came before it is."""
        if self.gone:
            return
        if self._waiting is None:
            self._take(message)
        elif len(self._waiting) < BACKLOG:
            self._waiting.append(message)
        else:
            self._end()

    def news(self, look: Callable[[], bool]) -> asyncio.Future[None]:
        """Gives what is done at the first pulse that `look` could not deal with, for one follower to wait for."""
        woken = asyncio.get_running_loop().create_future()
        self._followers.append((look, woken))
        return woken

    def pulse(self) -> None:
        """Every follower has looked at the ring, or is about to."""
        followers, self._followers = self._followers, []
        for look, woken in followers:
            if woken.done():
                continue
            try:
                is_served = look()
            except Exception as error:
                log.exception("a follower of %s failed", self.key.encode())
                woken.set_exception(error)
                continue
            if is_served:
                self._followers.append((look, woken))
            else:
                woken.set_result(None)

    def beat(self) -> None:
        """Every follower sends a keep-alive."""
        self.beats += 1
        self.pulse()

    @property
    def _log(self) -> Birth:
        """Names the log; only asked once the channel has begun."""
        return self.birth or Birth("")

    def _take(self, message: Live) -> None:
        match message:
            case Delta():
                self._take_delta(message)
            case Announced():
                self._take_announced(message)
            case Gone(birth=birth):
                if birth == self.birth:
                    self._end()
            case Nudge():
                pass

    def _take_delta(self, delta: Delta) -> None:
        ring = self.ring
        if delta.birth != self.birth or delta.epoch < ring.epoch:
            return
        if delta.seq > ring.seq:
            self._pause(partial(self._read, delta.seq), delta)
            return
        if delta.epoch > ring.epoch:
            self._turn(delta.epoch)
        if delta.d <= ring.d:
            return
        follows = delta.follows
        if not follows and not ring.d:
            self._turn(delta.epoch)
        if follows > ring.d or not self._is_whole or ring.is_late:
            self._pause(partial(self._heal, delta), delta)
            return
        ring.d = delta.d
        ring.put(delta_frame(delta, ring.seq))
        self.pulse()

    def _take_announced(self, announced: Announced) -> None:
        ring = self.ring
        if announced.birth != self.birth:
            self._end()
        elif announced.seq < ring.seq and not announced.entries:
            self._pause(partial(self._read, ring.seq))  # late, or the store has lost what came after it
        elif contradicts(ring, self._log, announced.entries):
            self._pause(self._fall_back)
        else:
            self._early |= {entry.seq: entry for entry in announced.entries if entry.seq > ring.seq}
            self._append(self._next())
            if announced.seq == ring.seq + 1 or (announced.is_cut and announced.seq > ring.seq):
                self._pause(partial(self._read, announced.seq))
            elif announced.seq > ring.seq:
                self.expect(announced.seq)

    def _next(self) -> Iterable[Entry]:
        """Gives the entries that came and follow the ring's last record; what is too far ahead is forgotten."""
        seq = self.ring.seq + 1
        while seq in self._early:
            yield self._early.pop(seq)
            seq += 1
        kept = {early: entry for early, entry in self._early.items() if early > seq}
        self._early = kept if len(kept) <= EARLY else {}

    def _turn(self, epoch: int) -> None:
        """Nothing was shown of that epoch, and nothing missed."""
        self.ring.turn(epoch)
        self._is_whole = True

    def _append(self, entries: Iterable[Entry]) -> None:
        ring, end = self.ring, self.ring.end
        for entry in entries:
            if entry.seq > ring.seq:
                ring.seq = entry.seq
                ring.put(record_frame(self._log, entry))
        if ring.end > end:
            self.pulse()

    def _pause(self, work: Callable[[], Coroutine[None, None, None]], *waiting: Live) -> None:
        """What comes waits until the work is done."""
        self._waiting = list(waiting)
        self._host.spawn(self._see_to(work))

    def _catch_up(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        if self.gone:
            return
        for i, message in enumerate(waiting):
            if self._waiting is not None:
                self._waiting += waiting[i:]
                break
            self._take(message)

    async def _read(self, seq: int) -> None:
        """What the announcements did not carry is read from the store; then what waited is taken."""
        try:
            await self._advance(seq)
        except BatonError as error:
            self._lose_track(error)
        self._drop(lambda delta: self.ring.seq < delta.seq <= seq)  # its records are lost again
        self._catch_up()

    async def _advance(self, seq: int) -> None:
        """The ring has the records up to `seq`, if there are so many. The last one it had is looked at again."""
        is_checked = False
        while not self.gone and (self.ring.seq < seq or not is_checked):
            log = await self._host.sessions.read(self.key, max(0, self.ring.seq - 1), PAGE)
            if log.head.birth != self.birth:
                self._end()
            elif has_lost(self.ring, self._log, log):
                await self._fall_back()
            elif log.head.seq == self.ring.seq:
                return
            self._append(() if self.gone else [entry for entry in log.entries if entry.seq <= seq])
            is_checked = True

    async def _fall_back(self) -> None:
        """The channel is over, and says up to where what it showed is still in the log: the store lost the rest."""
        try:
            self.stands = await standing(self.ring, self._log, self.key, self._host.sessions)
        except BatonError as error:
            self._lose_track(error)
        self._end()

    async def _heal(self, delta: Delta) -> None:
        """Deltas were missed: the followers get the open items whole before the next delta, and are told of a loss."""
        ring = self.ring
        if ring.d and delta.follows > ring.d:  # else nobody here was shown anything of the epoch
            self._host.gaps += 1
            ring.put(gap_frame(delta, ring.seq, ring.d + 1))
            self.pulse()
        opened = await self._host.ask(self.key)
        if (
            opened is not None
            and (opened.birth, opened.epoch) == (self.birth, ring.epoch)
            and opened.d >= delta.follows
        ):
            await self._show(opened)
        else:
            self._is_whole = False
            dropped = self._drop(lambda other: other.epoch <= ring.epoch)
            ring.d = ring.d if ring.is_late else max(dropped, default=ring.d)
        self._catch_up()

    def _explains(self, opened: OpenItems, delta: Delta) -> bool:
        """Says whether the delta continues those open items."""
        return (opened.birth, opened.epoch) == (self.birth, delta.epoch) and opened.d >= delta.follows

    async def _show(self, opened: OpenItems) -> None:
        """The followers have the open items as of that moment."""
        ring = self.ring
        try:
            if opened.seq > ring.seq:
                await self._advance(opened.seq)
        except BatonError as error:
            self._lose_track(error)
        if opened.seq > ring.seq:  # told by an owner that does not know yet what the store has lost
            self._is_whole = False
            return
        closings = ring.closings(opened.seq)
        texts = [text for text in opened.items if not any(closing.closes(text.item) for closing in closings)]
        for frame in snapshot_frames(opened, texts, ring.seq):
            ring.put(frame)
        self._is_whole = True
        if ring.is_late:
            ring.turn(ring.epoch, opened.d)
        ring.d = max(ring.d, opened.d)
        self.pulse()

    def _drop(self, is_void: Callable[[Delta], bool]) -> list[int]:
        """Gives the numbers of the waiting deltas that are void; they wait no more."""
        waiting = self._waiting or []
        void = [message.d for message in waiting if isinstance(message, Delta) and is_void(message)]
        self._waiting = [message for message in waiting if not (isinstance(message, Delta) and is_void(message))]
        return void

    def _lose_track(self, error: BatonError) -> None:
        """The channel is over; its followers come again."""
        log.warning("lost track of %s: %s", self.key.encode(), error)
        self._end()

    async def _see_to(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Whatever goes wrong concerns this session only."""
        try:
            await work()
        except Exception:
            log.exception("lost track of %s", self.key.encode())
            self._end()

    def _end(self) -> None:
        self.gone = True
        self.pulse()
