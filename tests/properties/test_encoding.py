"""Records become bytes and come back the same; what cannot be read is never guessed."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.encoding import decode_record, encode_record, load_entry, number
from app.core.errors import RecordTooLarge, StoreCorrupt
from app.core.records import MAX_RECORD_BYTES, AnyRecord, SessionCreated, run_of
from tests.support.arbitrary import EPOCH, json_values, records, text

VALID = b'{"type":"session.created","at":"2026-01-01T00:00:00Z","title":"A"}'


@given(records)
def test_every_record_comes_back_the_same(record: AnyRecord) -> None:
    assert decode_record(encode_record(record)) == record


@given(records)
def test_a_stored_record_is_one_json_object_with_its_type_and_run(record: AnyRecord) -> None:
    body = json.loads(encode_record(record))
    assert body["type"] == type(record).__struct_config__.tag
    assert body.get("run_id") == run_of(record)


@given(records, st.dictionaries(text.map("future_{}".format), json_values, min_size=1, max_size=3))
def test_fields_of_a_newer_version_are_ignored(record: AnyRecord, newer: dict[str, Any]) -> None:
    body = json.dumps(json.loads(encode_record(record)) | newer).encode()
    assert decode_record(body) == record


@given(st.lists(records, max_size=4), st.integers(0, 10**6))
def test_records_are_numbered_without_gaps(written: list[AnyRecord], last: int) -> None:
    entries = number(written, last)
    assert [entry.seq for entry in entries] == list(range(last + 1, last + 1 + len(written)))
    assert [load_entry(entry.seq, entry.body) for entry in entries] == list(entries)


@given(records, st.data())
def test_half_a_record_is_corrupt(record: AnyRecord, data: st.DataObject) -> None:
    body = encode_record(record)
    with pytest.raises(StoreCorrupt):
        decode_record(body[: data.draw(st.integers(0, len(body) - 1))])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\x00" * 64,
        VALID + b"}",
        VALID.replace(b"session.created", b"session.imagined"),
        VALID.replace(b'"type":"session.created",', b""),
        VALID.replace(b"2026-01-01T00:00:00Z", b"yesterday"),
        VALID.replace(b'"A"', b"1"),
        VALID.replace(b'"A"', b'"\xff"'),
        pytest.param(VALID.replace(b'"title":"A"', b'"metadata":' + b'{"a":' * 100_000)),
    ],
    ids=range(11),
)
def test_what_is_no_record_is_corrupt(body: bytes) -> None:
    assert decode_record(VALID) == SessionCreated(at=EPOCH, title="A")
    with pytest.raises(StoreCorrupt):
        decode_record(body)


@given(records, st.integers(0, 3), st.data())
def test_a_flipped_byte_is_corrupt_or_another_record_but_no_accident(
    record: AnyRecord, flips: int, data: st.DataObject
) -> None:
    body = bytearray(encode_record(record))
    for _ in range(flips):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(StoreCorrupt):
        decode_record(bytes(body))


def titled(size: int) -> SessionCreated:
    """Gives a record that is `size` bytes when encoded."""
    return SessionCreated(at=EPOCH, title="x" * (size - len(encode_record(SessionCreated(at=EPOCH, title="x"))) + 1))


def test_a_record_of_64_kib_is_the_largest() -> None:
    assert len(encode_record(titled(MAX_RECORD_BYTES))) == MAX_RECORD_BYTES
    with pytest.raises(RecordTooLarge, match="65537 bytes"):
        encode_record(titled(MAX_RECORD_BYTES + 1))


def test_one_record_that_is_too_large_numbers_none() -> None:
    with pytest.raises(RecordTooLarge):
        number([titled(100), titled(MAX_RECORD_BYTES + 1)], 0)
