"""A backlog: one session's messages that wait to be sent.

Deltas in a row merge. When too much waits, or for too long, deltas are dropped and announcements in a row become one.
"""

from collections import deque
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from app.stores.bus import Announced, Delta, Live
from app.stores.relay.letters import Address, encode, letter_of, pack_deltas, pack_piece
from app.stores.relay.parts import Divider

MERGED_BYTES = 4096
"""Text up to which deltas are merged."""
MAX_MESSAGES = 1024
MAX_BYTES = 1024 * 1024
"""How much may wait."""
OVERHEAD = 256
"""Bytes of a letter besides its texts, at the most."""
ENTRY_OVERHEAD = 16


class _Waiting(Struct):
    """A message, or a part of one."""

    message: Live | bytes
    everybody: bool
    """Whether it is for everybody, not only for those who follow the session."""
    since: float
    size: int
    """Bytes of what it carries."""

    @property
    def may_be_lost(self) -> bool:
        """Says whether it is a delta or a part of one: what followers can get whole by asking."""
        return isinstance(self.message, Delta | bytes)


class Backlog:
    """What waits, oldest first. `room`: the bytes of a whole payload."""

    def __init__(self, session: Address, room: int, divider: Divider) -> None:
        self.session = session
        self.dropped = 0
        """Deltas that were not sent."""
        self._room = room
        self._divider = divider
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._sealed = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def is_for_everybody(self) -> bool:
        """Says whether the oldest message is for everybody, not only for those who follow the session."""
        return self._waiting[0].everybody

    def add(self, message: Live, now: float, *, everybody: bool) -> None:
        """The message waits, alone or merged with the one before it."""
        if isinstance(message, Delta):
            self._add_delta(message, now)
        elif isinstance(message, Announced):
            self._announce(message, everybody, now)
        else:
            self._append(message, everybody, now)
        if len(self._waiting) > MAX_MESSAGES or self._size > MAX_BYTES:
            self.shrink()

    def seal(self) -> None:
        """No later delta is merged with what waits now: somebody is about to get all up to here in another way."""
        self._sealed = True

    def expire(self, before: float) -> None:
        """If anything has waited since before then, what waits is made small."""
        if self._waiting and self._waiting[0].since < before:
            self.shrink()

    def shrink(self) -> None:
        """No delta waits, for after one that is too late the others are of no use; announcements are one in a row."""
        before, self._waiting, self._size = self._waiting, deque(), 0
        for waiting in before:
            if isinstance(waiting.message, Announced):
                self._unite(waiting, waiting.message)
            elif waiting.may_be_lost:
                self.dropped += 1
            else:
                self._append(waiting.message, waiting.everybody, waiting.since)

    def keep_public(self) -> None:
        """Only what is for everybody waits."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting.everybody)
        self._size = sum(waiting.size for waiting in self._waiting)

    def skip(self) -> None:
        """The oldest message does not wait any more."""
        self._pop()
        self.dropped += 1

    def take(self, room: int) -> bytes | None:
        """Gives a letter of at most `room` bytes with the oldest messages, which wait no more; None if none fits."""
        head = self._waiting[0].message
        if isinstance(head, Delta):
            return self._take_deltas(head, room)
        letter = head if isinstance(head, bytes) else encode(letter_of(self.session, head))
        if len(letter) > room:
            return None
        self._pop()
        return letter

    def _add_delta(self, delta: Delta, now: float) -> None:
        size = _size(delta.text)
        if self._merge(delta, size):
            return
        self._sealed = False
        if size + OVERHEAD <= self._room:
            self._append(delta, False, now, size)
        else:
            self._divide(delta, now)

    def _merge(self, delta: Delta, size: int) -> bool:
        """Says whether the delta was merged with the last one."""
        last = self._waiting[-1] if self._waiting and not self._sealed else None
        if last is None or not isinstance(last.message, Delta) or last.size + size > MERGED_BYTES:
            return False
        before = last.message
        if not _continues(before, delta):
            return False
        last.message = replace(
            before, d=delta.d, merged=before.merged + delta.merged + 1, text=before.text + delta.text
        )
        last.size += size
        self._size += size
        return True

    def _append(self, message: Live | bytes, everybody: bool, now: float, size: int = 0) -> None:
        self._waiting.append(_Waiting(message, everybody, now, size))
        self._size += size

    def _divide(self, delta: Delta, now: float) -> None:
        letter = pack_deltas(self.session, delta, [pack_piece(delta)])
        if len(letter) > self._divider.largest:
            self.dropped += 1
            return
        for part in self._divider.divide(letter):
            self._append(part, False, now, len(part))

    def _announce(self, announced: Announced, everybody: bool, now: float) -> None:
        size = _entries_size(announced)
        if size + OVERHEAD > self._room:
            announced, size = Announced(announced.birth, announced.seq, is_cut=True), 0
        self._append(announced, everybody, now, size)

    def _unite(self, waiting: _Waiting, announced: Announced) -> None:
        """The announcement waits as one with that right before it, if there is one."""
        last = self._waiting[-1] if self._waiting else None
        before = last.message if last is not None and last.everybody == waiting.everybody else None
        if last is not None and isinstance(before, Announced) and before.birth == announced.birth:
            self._size -= self._waiting.pop().size
            self._announce(_united(before, announced, self._room), waiting.everybody, last.since)
        else:
            self._announce(announced, waiting.everybody, waiting.since)

    def _take_deltas(self, first: Delta, room: int) -> bytes | None:
        """Gives as many deltas of one run and epoch as fit."""
        pieces: list[bytes] = []
        room -= OVERHEAD // 2
        while self._waiting:
            delta = self._waiting[0].message
            if not isinstance(delta, Delta) or not _is_of_same_run(first, delta):
                break
            piece = pack_piece(delta)
            room -= len(piece)
            if room < 0:
                break
            pieces.append(piece)
            self._pop()
        return pack_deltas(self.session, first, pieces) if pieces else None

    def _pop(self) -> None:
        self._size -= self._waiting.popleft().size


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _is_of_same_run(one: Delta, other: Delta) -> bool:
    return (one.run_id, one.birth, one.epoch) == (other.run_id, other.birth, other.epoch)


def _continues(last: Delta, delta: Delta) -> bool:
    """Says whether the delta goes on right where the last one ends, and nothing came between."""
    if not _is_of_same_run(last, delta):
        return False
    expected = (last.item, last.kind, last.seq, last.d, last.offset + len(last.text))
    return expected == (delta.item, delta.kind, delta.seq, delta.follows, delta.offset)


def _united(one: Announced, other: Announced, room: int) -> Announced:
    """Gives an announcement of the newest seq, with the records of both if these fit and have no gap."""
    both = Announced(one.birth, max(one.seq, other.seq), one.entries + other.entries, one.is_cut or other.is_cut)
    is_gapless = all(later.seq == earlier.seq + 1 for earlier, later in pairwise(both.entries))
    if is_gapless and _entries_size(both) + OVERHEAD <= room:
        return both
    return replace(both, entries=one.entries, is_cut=True)


def _entries_size(announced: Announced) -> int:
    return sum(len(entry.body) + ENTRY_OVERHEAD for entry in announced.entries)
