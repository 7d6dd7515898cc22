"""Frames: how records and deltas look on the wire, encoded once and shared by every follower.

Server-sent events as WHATWG HTML defines them: LF only, `id:`, `event:`, one `data:` line of JSON, an empty line.
"""

import re

import msgspec
from msgspec import Struct

from app.core.errors import BadCursor
from app.core.ids import Birth, ItemId, RunId
from app.core.records import Entry, MessageAppended, RunFinished, RunResumed, RunSuspended, ToolFinished, run_of
from app.stores.bus import Delta, OpenItems, OpenText

PREAMBLE = b"retry: 1000\n\n"
"""Milliseconds after which a client reconnects."""
KEEP_ALIVE = b": keep-alive\n\n"

_encode = msgspec.json.Encoder().encode
_CURSOR = re.compile(r"(?:([a-z0-9]{1,64})\.)?(\d{1,18})(?::(\d{1,18})\.(\d{1,18}))?", re.ASCII)


class Cursor(Struct, frozen=True):
    """What a client has seen last: a record, and deltas after it. No `birth`: a bare seq, of whatever log there is."""

    seq: int
    birth: Birth | None = None
    epoch: int = 0
    d: int = 0

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Gives the cursor of a Last-Event-ID or an `after`; none means the beginning. Raises BadCursor."""
        match = _CURSOR.fullmatch(text or "0")
        if match is None or (match[1] is None and match[3] is not None):
            raise BadCursor(f"{(text or '')[:80]!r} is not an event id of this server; leave it out to start over")
        birth = Birth(match[1]) if match[1] else None
        return cls(int(match[2]), birth, int(match[3] or 0), int(match[4] or 0))


class Closing(Struct, frozen=True):
    """What a record does to open items: it closes one call's output, a whole step's items, or all of the run's."""

    prefix: str
    exact: bool = False

    def closes(self, item: ItemId) -> bool:
        """Says whether that item, shown before the record, is not open any more."""
        return item == self.prefix if self.exact else item.startswith(self.prefix)


class Frame(Struct, frozen=True):
    """One event, encoded. `d` is 0 for a record."""

    seq: int
    epoch: int
    d: int
    run_id: RunId | None
    item: ItemId | None
    closing: Closing | None
    ends: bool
    """Whether it is the run's last record."""
    suspends: bool
    resets: bool
    """Whether it voids all that was shown of the run's open items."""
    body: bytes
    """Everything after the id line."""
    data: bytes
    """All of it."""
    is_extra: bool = False
    """Whether it is for everybody who follows now, whatever they have seen."""


def record_frame(birth: Birth, entry: Entry) -> Frame:
    """Gives a record's frame; its data is the stored JSON with the seq in front."""
    record = entry.record
    body = b'event: %b\ndata: {"seq":%d,%b\n\n' % (_event(entry), entry.seq, entry.body[1:])
    data = b"id: %b.%d\n%b" % (birth.encode(), entry.seq, body)
    ends, suspends, resumes = (isinstance(record, kind) for kind in (RunFinished, RunSuspended, RunResumed))
    return Frame(entry.seq, 0, 0, run_of(record), None, _closing(entry), ends, suspends, ends or resumes, body, data)


def delta_frame(delta: Delta, seq: int) -> Frame:
    """Gives a delta's frame, after record `seq`."""
    fields = {
        "run_id": delta.run_id,
        "item": delta.item,
        "kind": delta.kind,
        "offset": delta.offset,
        "text": delta.text,
    }
    body = b"event: delta\ndata: %b\n\n" % _encode(fields)
    data = _delta_id(delta.birth, seq, delta.epoch, delta.d) + body
    return Frame(seq, delta.epoch, delta.d, delta.run_id, delta.item, None, False, False, False, body, data)


def restamped(frame: Frame, birth: Birth, seq: int) -> bytes:
    """Gives a delta's bytes under a newer record's seq, for a follower that is ahead of its runner."""
    return _delta_id(birth, seq, frame.epoch, frame.d) + frame.body


def snapshot_frame(open_items: OpenItems, text: OpenText, seq: int) -> bytes:
    """Gives all of an open item's text so far; its id is that of the last delta in it."""
    fields = {"run_id": text.run_id, "item": text.item, "kind": text.kind, "text": text.text}
    body = b"event: item.snapshot\ndata: %b\n\n" % _encode(fields)
    return _delta_id(open_items.birth, seq, open_items.epoch, open_items.d) + body


def healing_frame(open_items: OpenItems, text: OpenText, seq: int) -> Frame:
    """Gives a snapshot for those who follow already, after a gap."""
    data = snapshot_frame(open_items, text, seq)
    return Frame(
        seq, open_items.epoch, open_items.d, text.run_id, text.item, None, False, False, False, b"", data, is_extra=True
    )


def reset_frame(birth: Birth, seq: int, reason: str) -> bytes:
    """Tells the client that what it has is not this log: it starts again after `seq`."""
    return b"id: %b.%d\nevent: reset\ndata: %b\n\n" % (birth.encode(), seq, _encode({"reason": reason, "after": seq}))


def gap_frame(delta: Delta, seq: int, first: int) -> Frame:
    """Tells the clients that the deltas from `first` to before this one were lost; snapshots follow."""
    fields = _encode({"epoch": delta.epoch, "from": first, "to": delta.d - 1})
    data = b"id: %b.%d\nevent: gap\ndata: %b\n\n" % (delta.birth.encode(), seq, fields)
    return Frame(seq, 0, 0, None, None, None, False, False, False, b"", data, is_extra=True)


def _delta_id(birth: Birth, seq: int, epoch: int, d: int) -> bytes:
    return b"id: %b.%d:%d.%d\n" % (birth.encode(), seq, epoch, d)


def _event(entry: Entry) -> bytes:
    return str(entry.record.__struct_config__.tag).encode()


def _closing(entry: Entry) -> Closing | None:
    match entry.record:
        case MessageAppended(item=item):
            return Closing(item.rpartition(":")[0] + ":")
        case ToolFinished(item=item):
            return Closing(item, exact=True)
        case RunResumed(run_id=run) | RunFinished(run_id=run):
            return Closing(f"{run}:")
        case _:
            return None
