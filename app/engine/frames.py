"""Frames: how records and deltas look on the wire, encoded once and shared by every follower.

Server-sent events as WHATWG HTML defines them: LF only, `id:`, `event:`, one `data:` line of JSON, an empty line.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from app.core.errors import BadCursor
from app.core.ids import Birth, ItemId, RunId
from app.core.records import (
    Entry,
    MessageAppended,
    RunFinished,
    RunResumed,
    RunStarted,
    RunSuspended,
    ToolFinished,
    run_of,
)
from app.stores.bus import Delta, OpenItems, OpenText

PREAMBLE = b"retry: 1000\n\n"
"""Milliseconds after which a client reconnects."""
KEEP_ALIVE = b": keep-alive\n\n"
MORE = b"~"
"""Ends the id of a snapshot that others of the same moment follow: whoever resumes there needs all of them again."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_CURSOR = re.compile(r"(?:([a-z0-9]{1,64})\.)?(\d{1,18})(?::(\d{1,18})\.(\d{1,18})(~?))?", re.ASCII)


class Cursor(Struct, frozen=True):
    """What a client has seen last: a record, and deltas after it. No `birth`: a bare seq, of whatever log there is."""

    seq: int
    birth: Birth | None = None
    epoch: int = 0
    d: int = 0
    is_partial: bool = False
    """Whether it has some of the open items as of `d`, and others older: more snapshots were to follow."""

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Gives the cursor of a Last-Event-ID or an `after`; none means the beginning. Raises BadCursor."""
        match = _CURSOR.fullmatch(text or "0")
        if match is None or (match[1] is None and match[3] is not None):
            raise BadCursor(f"{(text or '')[:80]!r} is not an event id of this server; leave it out to start over")
        birth = Birth(match[1]) if match[1] else None
        return cls(int(match[2]), birth, int(match[3] or 0), int(match[4] or 0), bool(match[5]))


class Closing(Struct, frozen=True):
    """What a record does to open items: it closes one call's output, a whole step's items, or all of the run's."""

    prefix: str
    exact: bool = False

    def closes(self, item: ItemId) -> bool:
        """Says whether that item, shown before the record, is not open any more."""
        return item == self.prefix if self.exact else item.startswith(self.prefix)


class Frame(Struct, frozen=True, kw_only=True):
    """One event, encoded: a record at `seq`, or a delta `d` of an epoch, whose owner knew the records up to `seq`."""

    seq: int
    data: bytes
    """All of it, its id line first."""
    run_id: RunId | None = None
    item: ItemId | None = None
    epoch: int = 0
    d: int = 0
    """0 for a record."""
    follows: int = 0
    """The delta that it continues: the one before, unless several are merged in it."""
    closing: Closing | None = None
    begins: bool = False
    """Whether it is a run's first record as the active one: nothing that was shown before it is open."""
    ends: bool = False
    """Whether it is the run's last record."""
    suspends: bool = False
    is_extra: bool = False
    """Whether it is for those who follow now, whatever they have seen: a gap, or a snapshot after one."""
    whole: OpenText | None = None
    """What a snapshot shows."""
    more: bytes = b""

    @property
    def body(self) -> bytes:
        """Gives everything after the id line."""
        return self.data.partition(b"\n")[2]

    @property
    def is_record(self) -> bool:
        """Says whether it is a record."""
        return not self.d and not self.is_extra

    def is_beyond(self, cursor: Cursor) -> bool:
        """Says whether a client with that cursor has not seen it."""
        if self.is_record:
            return self.seq > cursor.seq
        return (self.epoch, self.d) > (cursor.epoch, cursor.d)


def record_frame(birth: Birth, entry: Entry) -> Frame:
    """Gives a record's frame; its data is the stored JSON with the seq in front."""
    record = entry.record
    body = b'event: %b\ndata: {"seq":%d,%b\n\n' % (_event(entry), entry.seq, entry.body[1:])
    return Frame(
        seq=entry.seq,
        data=_record_id(birth, entry.seq) + body,
        run_id=run_of(record),
        closing=_closing(entry),
        begins=isinstance(record, RunStarted),
        ends=isinstance(record, RunFinished),
        suspends=isinstance(record, RunSuspended),
    )


def delta_frame(delta: Delta, seq: int) -> Frame:
    """Gives a delta's frame, after record `seq`; its runner may not have known that one yet."""
    run, item, epoch, d = delta.run_id, delta.item, delta.epoch, delta.d
    # Written out, because it is done for every chunk; nothing but the text can need escapes.
    data = (
        f"id: {delta.birth}.{seq}:{epoch}.{d}\nevent: delta\n"
        f'data: {{"run_id":"{run}","item":"{item}","kind":"{delta.kind}","offset":{delta.offset}'
        f',"text":{_encode(delta.text).decode()}}}\n\n'
    ).encode()
    return Frame(seq=delta.seq, data=data, run_id=run, item=item, epoch=epoch, d=d, follows=delta.follows)


def snapshot_frames(opened: OpenItems, texts: Sequence[OpenText], seq: int) -> list[Frame]:
    """Gives all of those items' text so far. Each has the id of the last delta in it; all but the last one say `~`."""
    last = len(texts) - 1
    return [_snapshot_frame(opened, text, seq, b"" if i == last else MORE) for i, text in enumerate(texts)]


def _snapshot_frame(opened: OpenItems, text: OpenText, seq: int, more: bytes) -> Frame:
    fields = {"run_id": text.run_id, "item": text.item, "kind": text.kind, "text": text.text}
    body = b"event: item.snapshot\ndata: %b\n\n" % _encode(fields)
    return Frame(
        seq=opened.seq,
        data=_delta_id(opened.birth, seq, opened.epoch, opened.d, more) + body,
        run_id=text.run_id,
        item=text.item,
        epoch=opened.epoch,
        d=opened.d,
        is_extra=True,
        whole=text,
        more=more,
    )


def gap_frame(delta: Delta, seq: int, first: int) -> Frame:
    """Tells the clients that the deltas from `first` to before this one were lost; snapshots follow."""
    fields = _encode({"epoch": delta.epoch, "from": first, "to": delta.follows})
    body = b"event: gap\ndata: %b\n\n" % fields
    return Frame(seq=seq, data=_record_id(delta.birth, seq) + body, is_extra=True)


def stamped(frame: Frame, birth: Birth, seq: int) -> bytes:
    """Gives the frame's bytes under a newer record's seq, for a follower that is ahead of its runner."""
    stamp = _delta_id(birth, seq, frame.epoch, frame.d, frame.more) if frame.d else _record_id(birth, seq)
    return stamp + frame.body


def trimmed(frame: Frame, birth: Birth, seq: int, whole: Sequence[OpenText]) -> bytes:
    """Gives what a delta adds to those snapshots, some of which hold the first of the deltas that are merged in it."""
    fields = _decode(frame.body.partition(b"\ndata: ")[2])
    place = fields["item"], fields["kind"]
    shown = next((len(text.text) for text in whole if (text.item, text.kind) == place), 0)
    held = max(0, shown - fields["offset"])
    rest = {**fields, "offset": fields["offset"] + held, "text": fields["text"][held:]}
    return _delta_id(birth, seq, frame.epoch, frame.d) + _delta_body(rest) if rest["text"] else b""


def reset_frame(birth: Birth, seq: int, reason: str) -> bytes:
    """Tells the client that what it has is not this log: it starts again after `seq`."""
    return _record_id(birth, seq) + b"event: reset\ndata: %b\n\n" % _encode({"reason": reason, "after": seq})


def _record_id(birth: Birth, seq: int) -> bytes:
    return b"id: %b.%d\n" % (birth.encode(), seq)


def _delta_id(birth: Birth, seq: int, epoch: int, d: int, more: bytes = b"") -> bytes:
    return b"id: %b.%d:%d.%d%b\n" % (birth.encode(), seq, epoch, d, more)


def _delta_body(fields: Mapping[str, object]) -> bytes:
    return b"event: delta\ndata: %b\n\n" % _encode(fields)


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
