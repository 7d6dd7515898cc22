"""How records become bytes and come back: one JSON object each, as the store keeps it and the stream sends it."""

from collections.abc import Sequence

import msgspec

from app.core.errors import InvalidInput, RecordTooLarge, StoreCorrupt
from app.core.records import MAX_RECORD_BYTES, AnyRecord, Entry

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that nobody can have encoded."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyRecord)


def encode_record(record: AnyRecord) -> bytes:
    """Gives the record's JSON. Raises RecordTooLarge beyond 64 KiB, InvalidInput for text that is not Unicode."""
    try:
        body = _encoder.encode(record)
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a {type(record).__name__} holds half a character: {error}") from error
    if len(body) > MAX_RECORD_BYTES:
        raise RecordTooLarge(f"a {type(record).__name__} of {len(body)} bytes exceeds {MAX_RECORD_BYTES}")
    return body


def decode_record(body: bytes) -> AnyRecord:
    """Undoes `encode_record`. Raises StoreCorrupt for anything else, and never guesses."""
    try:
        return _decoder.decode(body)
    except UNREADABLE as error:
        raise StoreCorrupt(f"a stored record cannot be read: {error}") from error


def number(records: Sequence[AnyRecord], last: int) -> tuple[Entry, ...]:
    """Gives the records their places after `last`, encoded."""
    return tuple(Entry(last + i, record, encode_record(record)) for i, record in enumerate(records, 1))


def load_entry(seq: int, body: bytes) -> Entry:
    """Gives a stored record back, at its place."""
    return Entry(seq, decode_record(body), body)
