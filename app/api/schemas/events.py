"""The JSON of SSE events, for the schema: every record with its seq, and the four events that are not records."""

from typing import Any, get_args

import msgspec
from msgspec import Struct, field

from app.core.ids import ItemId, RunId
from app.core.records import AnyRecord
from app.stores.bus import DeltaKind

REFERENCE = "#/components/schemas/{name}"


class DeltaEvent(Struct, frozen=True, kw_only=True):
    """More text of an open item, at an offset in Unicode code points; the record that closes the item replaces it."""

    run_id: RunId
    item: ItemId
    kind: DeltaKind
    offset: int
    text: str


class SnapshotEvent(Struct, frozen=True, kw_only=True):
    """All the text so far of an open item: it replaces what was shown of it."""

    run_id: RunId
    item: ItemId
    kind: DeltaKind
    text: str


class GapEvent(Struct, frozen=True, kw_only=True):
    """The epoch's deltas `from` to `to` were lost; snapshots of the open items follow."""

    epoch: int
    first: int = field(name="from")
    last: int = field(name="to")


class ResetEvent(Struct, frozen=True, kw_only=True):
    """Open items' text is void and, unless `reason` is `epoch`, so are the records after `after`: they follow anew."""

    reason: str
    after: int


LIVE = {"delta": DeltaEvent, "item.snapshot": SnapshotEvent, "gap": GapEvent, "reset": ResetEvent}


def event_types() -> dict[str, type[Struct]]:
    """Gives the type of every event's data by the event's name."""
    records: tuple[type[Struct], ...] = get_args(AnyRecord)
    return {str(record.__struct_config__.tag): record for record in records} | LIVE


def event_schemas() -> dict[str, Any]:
    """Gives the components: `Event`, which is one of all events as a client's parser gives it, and each one's data."""
    events = event_types()
    _, components = msgspec.json.schema_components(tuple(events.values()), ref_template=REFERENCE)
    for name, kind in events.items():
        if name not in LIVE:
            _add_seq(components[kind.__name__])
    described = "One server-sent event; `data` is one line of JSON."
    return {"Event": {"description": described, "oneOf": [_event(*event) for event in events.items()]}, **components}


def _event(name: str, kind: type[Struct]) -> dict[str, Any]:
    data = {"$ref": REFERENCE.format(name=kind.__name__)}
    properties = {
        "id": {"type": "string"},
        "event": {"const": name},
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
    }
    return {"type": "object", "properties": properties, "required": ["id", "event", "data"]}


def _add_seq(schema: dict[str, Any]) -> None:
    place = {"type": "integer", "minimum": 1, "description": "The record's place in the session's log."}
    schema["properties"] = {"seq": place, **schema["properties"]}
    schema["required"] = ["seq", *schema["required"]]
