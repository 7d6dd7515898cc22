"""What the functions give, decoded; or found to be broken."""

import msgspec
from asyncpg import Record
from msgspec.structs import replace

from app.core.encoding import load_entry
from app.core.errors import StoreCorrupt
from app.core.records import Entry
from app.stores.base import Checkpoint, Log
from app.stores.head import Head
from app.stores.postgres.text import given

_heads = msgspec.json.Decoder(Head)


def load_head(text: str) -> Head:
    """Gives a head, which comes as JSON. Raises StoreCorrupt."""
    try:
        head = _heads.decode(text)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"a stored head cannot be read: {error}") from error
    return replace(head, title=given(head.title)) if "\x01" in head.title else head


def load_entries(row: Record) -> tuple[Entry, ...]:
    """Gives the records that came with a reply. Raises StoreCorrupt."""
    if row["seqs"] is None:
        return ()
    return tuple(map(load_entry, row["seqs"], row["bodies"]))


def load_log(row: Record) -> Log:
    """Gives head, checkpoint and records. Raises StoreCorrupt."""
    checkpoint = None
    if row["checkpoint"] is not None:
        checkpoint = Checkpoint(row["checkpoint"], row["version"], row["state"])
    return Log(load_head(row["head"]), load_entries(row), checkpoint)
