"""Server-sent events as a strict client reads them: only what DESIGN.md's section on streams allows."""

import json
import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from msgspec import Struct

from tests.support.contract import Contract

ID = re.compile(r"[a-z0-9]+\.\d+(:\d+\.\d+~?)?")


class Event(Struct, frozen=True):
    """One event."""

    id: str
    name: str
    data: dict[str, Any]


async def events(chunks: AsyncIterable[bytes], contract: Contract | None = None) -> AsyncIterator[Event]:
    """Gives the events as they come, each checked. Comments and `retry:` are skipped; half a frame is a fault."""
    rest = b""
    async for chunk in chunks:
        *frames, rest = (rest + chunk).split(b"\n\n")
        for frame in frames:
            event = parse_frame(frame)
            if event is not None:
                if contract is not None:
                    contract.check_event(event.name, event.data)
                yield event
    assert rest == b"", f"the stream ended within a frame: {rest!r}"


def parse_frame(frame: bytes) -> Event | None:
    """Gives the frame's event, or None for a comment or `retry:`. Fails on anything else."""
    assert b"\r" not in frame, "frames use LF only"
    lines = frame.decode().split("\n")
    if len(lines) == 1 and (lines[0].startswith(":") or re.fullmatch(r"retry: \d+", lines[0])):
        return None
    assert len(lines) == 3, f"a frame is id, event and one data line, not {lines}"
    fields = dict(line.split(": ", 1) for line in lines)
    assert list(fields) == ["id", "event", "data"], lines
    assert ID.fullmatch(fields["id"]), f"{fields['id']!r} is no event id"
    event = Event(fields["id"], fields["event"], json.loads(fields["data"]))
    assert event.data.get("type", event.name) == event.name, "`event:` is the record's type"
    return event
