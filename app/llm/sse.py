"""Server-sent events, read: bytes in whatever pieces the network gives them, out come the data of whole events.

Source: the WHATWG HTML standard, section 9.2.6, as far as providers use it: lines end in LF or CRLF, and of the fields
only `data` matters. Comments, other fields and events without data are skipped.
"""

from app.core.errors import ModelError

MAX_EVENT_BYTES = 1024 * 1024
"""A bound on one event: its data so far and its unfinished line together."""


class EventSplitter:
    """Cuts one stream into events. Works on bytes, so a cut inside a character does no harm."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Gives the data of the events that this piece completes. Raises ModelError for one beyond the limit."""
        if not self._held and (events := _read_plain(piece)):
            return events
        if b"\n" not in piece:
            self._hold(self._line, piece)
            return []
        if self._line:
            piece = b"".join((*self._line, piece))
            self._held = sum(len(data) + 1 for data in self._data)
        *lines, rest = piece.split(b"\n")
        self._line = []
        events = self._read_lines(lines)
        if rest:
            self._hold(self._line, rest)
        return events

    def close(self) -> list[bytes]:
        """Gives the last event's data, if the stream ended without the empty line that should close it."""
        return self.feed(b"\n\n")

    def _read_lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._hold(self._data, line[5:].removeprefix(b" "))
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data = []
                self._held = 0
        return [event for event in events if event]

    def _hold(self, where: list[bytes], piece: bytes) -> None:
        self._held += len(piece) + 1
        if self._held > self._limit:
            raise ModelError(f"the provider sent an event of more than {self._limit} bytes")
        where.append(piece)


def _read_plain(piece: bytes) -> list[bytes]:
    """Gives the data of the usual piece, nothing but whole events of one line each, or nothing if it is another."""
    if not (piece.startswith(b"data: ") and piece.endswith(b"\n\n")) or b"\r" in piece:
        return []
    if 6 < piece.find(b"\n") == len(piece) - 2:
        return [piece[6:-2]]
    events = piece[6:-2].split(b"\n\ndata: ")
    return events if piece.count(b"\n") == 2 * len(events) and all(events) else []
