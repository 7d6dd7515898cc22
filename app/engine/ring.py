"""The ring: one session's newest frames on this replica, in order, shared by all its followers."""

from collections import deque
from itertools import islice

from app.core.ids import Birth
from app.engine.frames import Closing, Cursor, Frame

RING_FRAMES = 2048
RING_BYTES = 1024 * 1024
UNKNOWN = 1 << 62
"""The delta floor of a ring that began in the middle of an epoch."""


class Ring:
    """A bounded number of frames. Positions count them from the first there ever was; they only grow.

    `floor` is the seq below which the ring has no records; of `epoch` it has the deltas after `delta_floor` up to `d`.
    """

    def __init__(self) -> None:
        self.floor = 0
        self.seq = 0
        """Of the newest record, here or before the ring began."""
        self.fresh = 0
        """The record before the ring's first epoch, if the ring has all of it."""
        self.epoch = 0
        self.d = 0
        self.delta_floor = UNKNOWN
        self.first = 0
        """The position of the first frame."""
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    @property
    def end(self) -> int:
        """Gives the position after the newest frame."""
        return self.first + len(self._frames)

    @property
    def is_late(self) -> bool:
        """Says whether nobody knows which deltas of the epoch there were before the ring began."""
        return self.delta_floor == UNKNOWN

    def begin(self, seq: int, epoch: int, d: int | None) -> None:
        """The ring goes on after a record, and after a delta of that epoch; None if it is not known which."""
        self.seq = self.floor = seq
        self.fresh = seq if d == 0 else 0
        self.turn(epoch, UNKNOWN if d is None else d)

    def turn(self, epoch: int, floor: int = 0) -> None:
        """The ring goes on with that epoch, after the delta `floor`."""
        self.epoch, self.delta_floor = epoch, floor
        self.d = 0 if floor == UNKNOWN else floor

    def begins_after(self, epoch: int, d: int) -> bool:
        """Says whether there were deltas between that one and the first that the ring has, or had."""
        shown = d if epoch == self.epoch else 0
        return not self.is_late and epoch <= self.epoch and shown < self.delta_floor

    def since(self, position: int) -> list[Frame]:
        """Gives the frames from a position on."""
        skipped = position - self.first
        return [self._frames[i] for i in range(skipped, len(self._frames))]

    def put(self, frame: Frame) -> None:
        """The frame is the newest one; the oldest ones make room."""
        self._frames.append(frame)
        self._bytes += len(frame.data)
        while len(self._frames) > RING_FRAMES or (self._bytes > RING_BYTES and len(self._frames) > 1):
            self._drop()

    def records(self) -> dict[int, bytes]:
        """Gives the bytes of every record that is still here, by its seq."""
        return {frame.seq: frame.data for frame in self._frames if frame.is_record}

    def closings(self, seq: int) -> list[Closing]:
        """Gives what the records after that seq closed."""
        return [frame.closing for frame in self._frames if frame.closing is not None and frame.seq > seq]

    def position_after(self, cursor: Cursor, birth: Birth | None) -> int | None:
        """Gives the position from which the ring of that log alone continues a cursor, or None when it cannot."""
        if birth is None or cursor.birth != birth or cursor.is_partial or not self.floor <= cursor.seq <= self.seq:
            return None
        if cursor.d:
            known = cursor.epoch == self.epoch and self.delta_floor <= cursor.d <= self.d
            return self._after_delta(cursor) if known else None
        position = self._after_record(cursor.seq)
        return position if self._is_unseen(position, cursor.seq) and not self._is_open_before(position) else None

    def _drop(self) -> None:
        dropped = self._frames.popleft()
        self.first += 1
        self._bytes -= len(dropped.data)
        if dropped.is_record:
            self.floor = max(self.floor, dropped.seq)
        elif dropped.epoch == self.epoch and not dropped.is_extra:
            self.delta_floor = dropped.d

    def _after_record(self, seq: int) -> int:
        """Gives the position after the record `seq`, which may be the last one that is not in the ring."""
        for i, frame in enumerate(reversed(self._frames)):
            if frame.is_record and frame.seq <= seq:
                return self.end - i
        return self.first

    def _after_delta(self, cursor: Cursor) -> int | None:
        """Gives the position of the first frame that the cursor's client has not seen, or None if it has half of one.

        What it has seen may come again behind that: another replica may order a record and a delta differently.
        """
        position = None
        for i, frame in enumerate(self._frames, self.first):
            if position is None and frame.is_beyond(cursor):
                position = i
            if frame.epoch == cursor.epoch and frame.d > cursor.d:
                return position if frame.is_extra or frame.follows >= cursor.d else None
        return self.end if position is None else position

    def _is_unseen(self, position: int, seq: int) -> bool:
        """Says whether a client that saw the record `seq` last has seen no text that comes behind it here.

        Elsewhere it may have seen before the record what the owner sent before it knew the record. That is still to
        come here, unless what the owner sent since is here already, or the epoch began after the record.
        """
        if seq <= self.fresh:
            return True
        after = [frame for frame in islice(self._frames, position - self.first, None) if frame.d]
        return bool(after) and all(frame.seq >= seq for frame in after)

    def _is_open_before(self, position: int) -> bool:
        """Says whether an item that was shown before the position may still be open there."""
        if self.delta_floor:
            return True
        closings: list[Closing] = []
        for frame in islice(reversed(self._frames), self.end - position, None):
            if frame.begins:
                return False
            if frame.closing is not None:
                closings.append(frame.closing)
            item = frame.item
            if item is not None and not any(closing.closes(item) for closing in closings):
                return True
        return False
