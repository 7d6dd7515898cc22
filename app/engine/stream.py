"""The stream: a follower sees every record once, in order, and every open item's text whole, wherever it reconnects.

A follower joins in this order, so that nothing falls between: **subscribe** (hold the session's channel), **replay**
(records after its cursor, from the ring if it reaches back far enough, else from the store), **ask** the owner for the
open items' text, then **follow** the ring, dropping what it has seen. What it is sent obeys:

* an id is `birth.seq` for a record and `birth.seq:epoch.d` for a delta; `seq` never falls, `d` never within an epoch;
* a snapshot replaces what the client has of an item; a record that closes the item replaces both;
* another birth, a cursor beyond the log, or deltas of an epoch that is gone: a `reset` event, never silence;
* a follower that falls behind the ring is cut off: it reconnects with its last id.

Who holds which channel is `broadcast.py`, the ring is `channel.py`, the bytes are `frames.py`.
"""

from collections.abc import AsyncGenerator, Sequence

from app.core.errors import SessionNotFound
from app.core.ids import Birth, RunId
from app.core.keys import SessionKey
from app.core.records import Entry
from app.engine.broadcast import Broadcast
from app.engine.channel import ASK_SECONDS, PAGE, Channel
from app.engine.frames import (
    KEEP_ALIVE,
    PREAMBLE,
    Closing,
    Cursor,
    Frame,
    record_frame,
    reset_frame,
    snapshot_frame,
    stamped,
)
from app.stores.bus import OpenItems

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
        self._over = False
        self._last = 0
        self._epoch = 0
        self._d = 0
        self._closings: list[tuple[int, Closing]] = []

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yields whole frames, together when several are there. Ends with the run, or when the client is too slow."""
        async with self._broadcast.following(self.key) as channel:
            position = channel.position_after(self._cursor)
            if position is None:
                position = channel.end
                try:
                    async for replayed in self._replay(channel):
                        yield replayed
                except SessionNotFound:
                    return
            else:
                yield PREAMBLE
                self._last, self._epoch, self._d = self._cursor.seq, self._cursor.epoch, self._cursor.d
                self._over = self._is_final()
            async for followed in self._follow(channel, position):
                yield followed

    async def _follow(self, channel: Channel, position: int) -> AsyncGenerator[bytes, None]:
        beats = channel.beats
        while not self._over and position >= channel.first:
            frames = channel.since(position)
            position += len(frames)
            data = b"".join([self._pass(channel, frame) for frame in frames])
            if data:
                yield data
            elif channel.gone or self._broadcast.closing:
                return
            elif channel.beats != beats:
                beats = channel.beats
                yield KEEP_ALIVE
            if position == channel.end and not (self._over or channel.gone or self._broadcast.closing):
                await channel.news()

    async def _replay(self, channel: Channel) -> AsyncGenerator[bytes, None]:
        """Yields what the store has after the cursor, then the open items as their owner has them."""
        key, sessions = self.key, self._broadcast.sessions
        log = await sessions.read(key, max(self._cursor.seq, self._first), PAGE)
        birth, reset = log.head.birth, self._misses(log.head.birth, log.head.seq)
        self._last = self._first if reset else max(self._cursor.seq, self._first)
        self._over = self._is_final()
        replayed = b"" if reset else self._pass_entries(birth, log.entries)
        yield PREAMBLE + (reset_frame(birth, self._last, reset) if reset else b"") + replayed
        async for data in self._read_to(birth, log.head.seq):
            yield data
        opened = None if self._over else await self._broadcast.bus.ask(key, ASK_SECONDS)
        live = opened if opened is not None and opened.birth == birth else None
        async for data in self._read_to(birth, live.seq if live else 0):
            yield data
        if self._is_epoch_gone(live.epoch if live else 0):
            yield reset_frame(birth, self._last, "epoch")
        if live is not None:
            yield self._show(live)
        channel.begin(birth, self._last)
        async for data in self._read_to(birth, channel.floor):
            yield data

    async def _read_to(self, birth: Birth, seq: int) -> AsyncGenerator[bytes, None]:
        """Yields the records up to `seq`, page by page."""
        while self._last < seq and not self._over:
            log = await self._broadcast.sessions.read(self.key, self._last, PAGE)
            if log.head.birth != birth or not log.entries:
                raise SessionNotFound("the session was deleted while it was read")
            yield self._pass_entries(birth, log.entries)

    def _is_final(self) -> bool:
        """Says whether the run's last record has been seen."""
        return self._final is not None and self._last >= self._final

    def _pass_entries(self, birth: Birth, entries: Sequence[Entry]) -> bytes:
        return b"".join([self._pass_record(record_frame(birth, entry)) for entry in entries if not self._over])

    def _misses(self, birth: Birth, seq: int) -> str:
        """Says why the cursor does not point into this log, or nothing if it does."""
        if self._cursor.birth is not None and self._cursor.birth != birth:
            return "birth"
        return "beyond" if self._cursor.seq > seq else ""

    def _is_epoch_gone(self, epoch: int) -> bool:
        """Says whether the client has text of an epoch that nobody will go on with, and no record has told it so."""
        cursor = self._cursor
        voided = any(not closing.exact and closing.prefix.count(":") == 1 for _, closing in self._closings)
        return bool(cursor.d) and cursor.epoch != epoch and not voided and not self._over

    def _show(self, opened: OpenItems) -> bytes:
        """Gives the snapshots of items that no record has closed since, and remembers which deltas they hold."""
        self._epoch, self._d = opened.epoch, opened.d
        closings = [closing for seq, closing in self._closings if seq > opened.seq]
        shown = [
            snapshot_frame(opened, text, self._last).data
            for text in opened.items
            if self._concerns(text.run_id) and not any(closing.closes(text.item) for closing in closings)
        ]
        return b"".join(shown)

    def _pass(self, channel: Channel, frame: Frame) -> bytes:
        """Gives the frame's bytes if the follower has not seen them, else nothing."""
        if self._over:
            return b""
        if frame.is_extra:
            return self._pass_extra(channel, frame)
        return self._pass_delta(channel, frame) if frame.d else self._pass_record(frame)

    def _pass_extra(self, channel: Channel, frame: Frame) -> bytes:
        """Gives a gap, or an item whole after it; the deltas that are in it will be dropped."""
        if frame.d:
            self._epoch, self._d = frame.epoch, frame.d
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
        item = frame.item
        if item is None or any(seq > frame.seq and closing.closes(item) for seq, closing in self._closings):
            return b""
        self._epoch, self._d = frame.epoch, frame.d
        if not self._concerns(frame.run_id):
            return b""
        if frame.seq < self._last and channel.birth is not None:
            return stamped(frame, channel.birth, self._last)
        return frame.data

    def _concerns(self, run_id: RunId | None) -> bool:
        return self.run_id is None or run_id == self.run_id
