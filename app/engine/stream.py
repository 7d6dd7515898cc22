"""The stream: a follower sees every record once, in order, and every open item's text whole, wherever it reconnects.

A follower joins in this order, so that nothing falls between: **subscribe** (hold the session's channel), **replay**
(records after its cursor, from the ring if it reaches back far enough, else from the store), **ask** the owner for the
open items' text, then **follow** the ring, dropping what it has seen. What it is sent obeys:

* an id is `birth.seq` for a record and `birth.seq:epoch.d` for a delta; `seq` never falls, `d` never within an epoch;
* a snapshot replaces what the client has of an item; a record that closes the item replaces both;
* another birth, a cursor beyond the log, records or deltas that the store has lost: a `reset` event, never silence;
* a follower that falls behind the ring is cut off: it reconnects with its last id.

Who holds which channel is `broadcast.py`, what fills the ring `channel.py`, the ring `ring.py`, the bytes `frames.py`.
"""

from collections.abc import AsyncGenerator, Sequence
from functools import partial

from app.core.errors import SessionNotFound
from app.core.ids import Birth, RunId
from app.core.keys import SessionKey
from app.core.records import Entry, run_of
from app.engine.broadcast import Broadcast
from app.engine.channel import PAGE, Channel
from app.engine.frames import (
    KEEP_ALIVE,
    PREAMBLE,
    Closing,
    Cursor,
    Frame,
    record_frame,
    reset_frame,
    snapshot_frames,
    stamped,
    trimmed,
)
from app.engine.sink import Sink, refuse
from app.stores.bus import Announced, OpenItems, OpenText
from app.stores.head import Head

ATTEMPTS = 3
"""How often an owner is asked for what came between its last answer and the ring of another follower's channel."""
CLOSINGS_KEPT = 64
"""Closing records a follower remembers: only deltas that were sent before them and arrive after them meet them."""


class Stream:
    """One follower of a session, or of one run of it."""

    def __init__(
        self,
        broadcast: Broadcast,
        key: SessionKey,
        cursor: Cursor,
        *,
        run_id: RunId | None = None,
        first: int = 0,
        final: int | None = None,
        until_suspended: bool = False,
        home: bool = False,
    ) -> None:
        self.key = key
        self.run_id = run_id
        self._broadcast = broadcast
        self._cursor = cursor
        self._first = first
        """The seq before the run's first record."""
        self._final = final
        """The seq of the run's last record, once it has one."""
        self._until_suspended = until_suspended
        self._home = home
        self._over = False
        self._last = 0
        self._epoch = 0
        self._d = 0
        self._position = 0
        """In the ring."""
        self._closings: list[tuple[int, Closing]] = []
        self._whole: tuple[OpenText, ...] = ()
        """The snapshots that the client was shown last."""
        self._sink: Sink = refuse
        self._refused = b""

    async def frames(self, sink: Sink = refuse) -> AsyncGenerator[bytes, None]:
        """Yields whole frames, together when several are there. Ends with the run, or when the client is too slow.

        What comes while it waits for more goes to the sink instead, as long as that takes it.
        """
        self._sink = sink
        stands: int | None = 0
        try:
            while stands is not None:
                async with self._broadcast.following(self.key, home=self._home) as channel:
                    async for data in self._attend(channel):
                        yield data
                    stands, birth = channel.stands, channel.birth
                if self._over or self._broadcast.closing:
                    return
                if stands is not None and birth is not None:
                    yield self._fall_back(birth, stands)
                    if not await self._is_still_there():
                        return
        except SessionNotFound:
            return

    async def _attend(self, channel: Channel) -> AsyncGenerator[bytes, None]:
        """Yields what the client has missed, then what the channel brings, as long as it brings anything."""
        position = channel.position_after(self._cursor)
        if position is None:
            self._position = channel.ring.end
            async for replayed in self._replay(channel):
                yield replayed
        else:
            yield PREAMBLE
            self._position = position
            self._last, self._epoch, self._d = self._cursor.seq, self._cursor.epoch, self._cursor.d
            self._over = self._is_final()
        async for followed in self._follow(channel, self._position):
            yield followed

    def _fall_back(self, birth: Birth, stands: int) -> bytes:
        """Gives the reset after which the client is where the log still is as it was shown, and replays from there."""
        self._last = max(self._first, min(stands, self._last))
        self._cursor = Cursor(self._last, birth)
        self._final, self._epoch, self._d, self._closings = None, 0, 0, []
        return self._reset(birth, "regressed")

    async def _is_still_there(self) -> bool:
        """Says whether the log still has the run; its records may be among those that the store has lost."""
        if self.run_id is None or self._last > self._first:
            return True
        log = await self._broadcast.sessions.read(self.key, self._first, 1)
        return bool(log.entries) and run_of(log.entries[0].record) == self.run_id

    def _reset(self, birth: Birth, reason: str) -> bytes:
        self._broadcast.resets += 1
        return reset_frame(birth, self._last, reason)

    async def _follow(self, channel: Channel, position: int) -> AsyncGenerator[bytes, None]:
        beats, ring, self._position = channel.beats, channel.ring, position
        while not self._over and self._position >= ring.first:
            data = self._gather(channel)
            if data:
                yield data
            elif channel.gone or self._broadcast.closing:
                return
            elif channel.beats != beats:
                beats = channel.beats
                yield KEEP_ALIVE
            if self._position == ring.end and not (self._over or channel.gone or self._broadcast.closing):
                await channel.news(partial(self._relay, channel))
                if self._refused:
                    refused, self._refused = self._refused, b""
                    yield refused
        self._broadcast.cut_off += not self._over

    def _relay(self, channel: Channel) -> bool:
        """What is new is with the sink. False: the follower has to see to it, or to something else."""
        position = self._position
        if channel.gone or self._broadcast.closing or position < channel.ring.first:
            return False
        data = self._gather(channel)
        if data and not self._sink(data):
            self._refused = data
            return False
        return self._position > position and not self._over

    def _gather(self, channel: Channel) -> bytes:
        """Gives what the ring has for this follower from its position on, which is the ring's end then."""
        frames = channel.ring.since(self._position)
        self._position += len(frames)
        if len(frames) == 1:
            return self._pass(channel, frames[0])
        return b"".join([self._pass(channel, frame) for frame in frames])

    async def _replay(self, channel: Channel) -> AsyncGenerator[bytes, None]:
        """Yields what the store has after the cursor, then the open items as their owner has them."""
        shown = channel.ring.seq
        log = await self._broadcast.sessions.read(self.key, max(self._cursor.seq, self._first), PAGE)
        head = log.head
        if head.seq < shown:
            channel.deliver(Announced(head.birth, head.seq))
        birth, reason = head.birth, self._misses(head)
        self._last = self._first if reason else max(self._cursor.seq, self._first)
        self._epoch, self._d = (0, 0) if reason else (self._cursor.epoch, self._cursor.d)
        self._over = self._is_final()
        yield PREAMBLE + (self._reset(birth, reason) if reason else self._pass_entries(birth, log.entries))
        async for data in self._read_to(birth, head.seq):
            yield data
        async for data in self._catch_up(channel, head):
            yield data

    async def _catch_up(self, channel: Channel, head: Head) -> AsyncGenerator[bytes, None]:
        """Yields the open items, and what was recorded meanwhile, until the ring continues what the client has."""
        cursor, birth, reached = self._cursor, head.birth, 0
        for _ in range(ATTEMPTS):
            live = await self._ask(head)
            async for data in self._read_to(birth, live.seq if live else 0):
                yield data
            if live is not None and live.seq > self._last and not self._over:
                live = None  # told by an owner that does not know yet what the store has lost
            if self._is_epoch_gone(cursor, live, head):
                yield self._reset(birth, "epoch")
            if live is not None:
                yield self._show(live)
            reached = self._begin(channel, head, live)
            if live is None or not channel.ring.begins_after(live.epoch, live.d):
                break
            cursor = Cursor(self._last, birth, live.epoch, live.d)
        async for data in self._read_to(birth, reached):
            yield data

    async def _ask(self, head: Head) -> OpenItems | None:
        """Gives the open items as their owner has them; None if there is no owner, or it does not say."""
        if self._over or head.owner is None:
            return None
        opened = await self._broadcast.ask(self.key)
        current = opened is not None and opened.birth == head.birth and opened.epoch >= head.epoch
        return opened if current else None

    def _begin(self, channel: Channel, head: Head, live: OpenItems | None) -> int:
        """A new channel goes on from here. Gives the seq of the last record that the ring will not bring."""
        if self._over:
            return self._last
        if live is not None:
            channel.begin(head.birth, self._last, live.epoch, live.d)
        elif head.owner is None:  # nothing was shown of the next epoch, and the others are over
            self._epoch, self._d = head.epoch + 1, 0
            channel.begin(head.birth, self._last, head.epoch + 1, 0)
        elif not channel.has_begun:
            channel.begin(head.birth, self._last, head.epoch, None)
        else:  # what the ring has now continues what this client was not shown
            channel.miss()
            self._position = channel.ring.end
            return channel.ring.seq
        return channel.ring.floor

    async def _read_to(self, birth: Birth, seq: int) -> AsyncGenerator[bytes, None]:
        """Yields the records up to `seq`, page by page, if the log has them."""
        while self._last < seq and not self._over:
            log = await self._broadcast.sessions.read(self.key, self._last, PAGE)
            if log.head.birth != birth:
                raise SessionNotFound("the session was deleted while it was read")
            if not log.entries:
                return
            yield self._pass_entries(birth, [entry for entry in log.entries if entry.seq <= seq])

    def _is_final(self) -> bool:
        """Says whether the run's last record has been seen."""
        return self._final is not None and self._last >= self._final

    def _pass_entries(self, birth: Birth, entries: Sequence[Entry]) -> bytes:
        return b"".join([self._pass_record(record_frame(birth, entry)) for entry in entries if not self._over])

    def _misses(self, head: Head) -> str:
        """Says why the cursor does not point into this log, or nothing if it does."""
        if self._cursor.birth is not None and self._cursor.birth != head.birth:
            return "birth"
        return "beyond" if self._cursor.seq > head.seq else ""

    def _is_epoch_gone(self, cursor: Cursor, live: OpenItems | None, head: Head) -> bool:
        """Says whether the client has text that nobody will go on with, and no record has told it so."""
        voided = any(not closing.exact and closing.prefix.count(":") == 1 for _, closing in self._closings)
        epoch, d = (live.epoch, live.d) if live is not None else (head.epoch, cursor.d)
        return bool(cursor.d) and (cursor.epoch != epoch or cursor.d > d) and not voided and not self._over

    def _show(self, opened: OpenItems) -> bytes:
        """Gives the snapshots of items that no record has closed since, and remembers which deltas they hold."""
        self._epoch, self._d = opened.epoch, opened.d
        texts = [text for text in opened.items if self._concerns(text.run_id) and self._is_open(text, opened.seq)]
        self._whole = tuple(texts)
        return b"".join([frame.data for frame in snapshot_frames(opened, texts, self._last)])

    def _is_open(self, shown: OpenText | Frame, seq: int) -> bool:
        """Says whether no record after `seq` has closed the item."""
        item = shown.item
        if item is None or not self._closings:
            return item is not None
        return not any(s > seq and closing.closes(item) for s, closing in self._closings)

    def _pass(self, channel: Channel, frame: Frame) -> bytes:
        """Gives the frame's bytes if the follower has not seen them, else nothing."""
        if self._over:
            return b""
        if frame.is_extra:
            return self._pass_extra(channel, frame)
        return self._pass_delta(channel, frame) if frame.d else self._pass_record(frame)

    def _pass_extra(self, channel: Channel, frame: Frame) -> bytes:
        """Gives a gap, or an item whole after it; the deltas that are in it will be dropped."""
        if frame.whole is not None:
            if (frame.epoch, frame.d) < (self._epoch, self._d) or not self._is_open(frame, frame.seq):
                return b""
            kept = () if (frame.epoch, frame.d) != (self._epoch, self._d) else self._whole
            self._epoch, self._d, self._whole = frame.epoch, frame.d, (frame.whole, *kept)
        concerned = frame.run_id is None or self._concerns(frame.run_id)
        return stamped(frame, channel.birth or Birth(""), self._last) if concerned else b""

    def _pass_record(self, frame: Frame) -> bytes:
        if frame.seq <= self._last or frame.seq <= self._first:
            return b""
        self._last = frame.seq
        if frame.closing is not None:
            self._closings = [(frame.seq, frame.closing), *self._closings[: CLOSINGS_KEPT - 1]]
        if not self._concerns(frame.run_id):
            return b""
        self._over = self.run_id is not None and (frame.ends or (frame.suspends and self._until_suspended))
        return frame.data

    def _pass_delta(self, channel: Channel, frame: Frame) -> bytes:
        if frame.epoch < self._epoch or (frame.epoch == self._epoch and frame.d <= self._d):
            return b""
        if not self._is_open(frame, frame.seq):
            return b""
        held = self._d if frame.epoch == self._epoch else 0
        self._epoch, self._d = frame.epoch, frame.d
        if not self._concerns(frame.run_id):
            return b""
        birth = channel.birth or Birth("")
        if frame.follows < held:
            return trimmed(frame, birth, self._last, self._whole)
        return stamped(frame, birth, self._last) if frame.seq < self._last else frame.data

    def _concerns(self, run_id: RunId | None) -> bool:
        return self.run_id is None or run_id == self.run_id
