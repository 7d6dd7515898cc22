"""The witness: compares what a ring's followers were shown with what the log says, which may have lost its end.

What it says holds for the records that are still in the ring; of older ones it knows nothing.
"""

from collections.abc import Iterable

from app.core.ids import Birth
from app.core.keys import SessionKey
from app.core.records import Entry
from app.engine.frames import record_frame
from app.engine.ring import Ring
from app.stores.base import Log, Sessions

PAGE = 256


def contradicts(ring: Ring, birth: Birth, entries: Iterable[Entry]) -> bool:
    """Says whether a record is not what the followers were shown at its seq."""
    known = [entry for entry in entries if entry.seq <= ring.seq]
    shown = ring.records() if known else {}
    return any(shown.get(entry.seq, b"") not in {b"", record_frame(birth, entry).data} for entry in known)


def has_lost(ring: Ring, birth: Birth, log: Log) -> bool:
    """Says whether the store has lost records that the followers were shown."""
    return log.head.seq < ring.seq or contradicts(ring, birth, log.entries)


async def standing(ring: Ring, birth: Birth, key: SessionKey, sessions: Sessions) -> int:
    """Gives the last seq whose record is what was shown; 0 if no record that was shown here is left."""
    shown, seq, head = ring.records(), ring.floor, ring.seq
    while seq < head:
        log = await sessions.read(key, seq, PAGE)
        if not log.entries or log.head.birth != birth:
            break
        for entry in log.entries:
            if shown.get(entry.seq) != record_frame(birth, entry).data:
                return seq if seq > ring.floor else 0
            seq = entry.seq
    return seq if seq > ring.floor else 0
