"""Parts: a letter that is larger than a payload, divided by its sender and put together again by its receivers."""

from collections.abc import Iterator
from itertools import count

from app.core.ids import Incarnation
from app.stores.relay.letters import Part, encode

PART_OVERHEAD = 32
"""Bytes of a part besides its data, at the most."""
UNFINISHED = 16
"""Divided letters that a receiver waits for at a time; of the others something was lost."""


class Divider:
    """Divides letters. Numbers tell the parts of one from those of another."""

    def __init__(self, room: int, parts: int) -> None:
        self._data = room - PART_OVERHEAD
        self._parts = parts
        self._numbers = count(1)

    @property
    def largest(self) -> int:
        """Gives how many bytes a letter may have."""
        return self._data * self._parts

    def divide(self, letter: bytes) -> Iterator[bytes]:
        """Yields the encoded parts, in order."""
        number = next(self._numbers)
        places = range(0, len(letter), self._data)
        for place, start in enumerate(places):
            yield encode(Part(number, place, len(places), letter[start : start + self._data]))


class Assembly:
    """Puts letters together again. Parts come in order, or the letter is lost."""

    def __init__(self) -> None:
        self._unfinished: dict[tuple[Incarnation, int], list[bytes]] = {}

    def add(self, sender: Incarnation, part: Part) -> bytes | None:
        """Gives the letter when this was its last part."""
        which = sender, part.number
        parts = self._unfinished.pop(which, [])
        if part.place != len(parts):
            return None
        parts.append(part.data)
        if len(parts) == part.count:
            return b"".join(parts)
        self._unfinished[which] = parts
        if len(self._unfinished) > UNFINISHED:
            del self._unfinished[next(iter(self._unfinished))]
        return None

    def clear(self) -> None:
        """What has come so far is forgotten."""
        self._unfinished.clear()
