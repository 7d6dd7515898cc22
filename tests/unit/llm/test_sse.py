import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import ModelError
from app.llm.sse import EventSplitter
from tests.unit.llm.chopping import chop

EVERYTHING = (
    b": a comment\r\n\r\n"
    b"event: message\nid: 7\ndata: one\n\n"
    b"data:no space\r\n\r\n"
    b"data:  two spaces\n\n"
    b"data: first line\ndata: second line\n\n"
    b"retry: 10\n\n"
    b"data:\n\n"
    b"dataset: not data\n\n"
    b"\n\n\n"
    b"data: \xc3\xa4\xf0\x9f\x98\x80\xe2\x80\xa8\n\n"
    b"data: [DONE]\n\n"
)
EVENTS = [
    b"one",
    b"no space",
    b" two spaces",
    b"first line\nsecond line",
    "ä😀\u2028".encode(),
    b"[DONE]",
]


def test_reads_every_form_of_event() -> None:
    assert EventSplitter().feed(EVERYTHING) == EVENTS


@given(st.data())
def test_the_cuts_between_reads_make_no_difference(data: st.DataObject) -> None:
    splitter = EventSplitter()
    pieces = data.draw(chop(EVERYTHING))
    assert [event for piece in pieces for event in splitter.feed(piece)] == EVENTS


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        ([b"data: one\n\ndata: \n\ndata: two\n\n"], [b"one", b"two"]),
        ([b"data: one\r\n\n"], [b"one"]),
        ([b"data: one\n", b"data: two\n\n"], [b"one\ntwo"]),
        ([b"data: one ", b"data: two\n\n"], [b"one data: two"]),
        ([b"data: one\nid: 7\n\n"], [b"one"]),
        ([b"data: one\n\n\n\n"], [b"one"]),
    ],
)
def test_what_only_looks_like_the_usual_piece(pieces: list[bytes], events: list[bytes]) -> None:
    splitter = EventSplitter()
    assert [event for piece in pieces for event in splitter.feed(piece)] == events


def test_byte_by_byte() -> None:
    splitter = EventSplitter()
    assert [event for byte in EVERYTHING for event in splitter.feed(bytes([byte]))] == EVENTS


@given(st.lists(st.sampled_from([b"data: ", b"data:", b"\n", b"\r\n", b"\n\n", b"x", b": c", b"id: 1", b"\r"])))
def test_any_lines_read_the_same_at_once_and_byte_by_byte(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole, bytewise = EventSplitter(), EventSplitter()
    at_once = whole.feed(data) + whole.close()
    assert at_once == [event for byte in data for event in bytewise.feed(bytes([byte]))] + bytewise.close()


@pytest.mark.parametrize("ending", [b"data: last", b"data: last\n", b"data: last\r\n", b"data: last\r"])
def test_an_event_that_is_not_closed_comes_out_at_the_end(ending: bytes) -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: one\n\n" + ending) == [b"one"]
    assert splitter.close() == [b"last"]
    assert splitter.close() == []


@pytest.mark.parametrize(
    "piece",
    [b"x" * 10, b"data: 4567\n", b"data:\n", b": xxxxxxx", b"a: 4\ndata: x"],
    ids=["one endless line", "many lines of data", "many empty lines of data", "an endless comment", "lines and rests"],
)
def test_an_event_without_end_is_an_error_before_it_fills_the_memory(piece: bytes) -> None:
    with pytest.raises(ModelError, match="more than 1000 bytes"):
        _feed_often(EventSplitter(limit=1000), piece)


def _feed_often(splitter: EventSplitter, piece: bytes) -> None:
    for _ in range(1001):
        splitter.feed(piece)


def test_many_events_in_one_read_are_not_bounded_together() -> None:
    splitter = EventSplitter(limit=100)
    for _ in range(3):
        assert splitter.feed(b"data: 0123456789\n\n" * 50) == [b"0123456789"] * 50


def test_an_event_just_within_the_limit_passes_in_pieces() -> None:
    splitter = EventSplitter(limit=100)
    for _ in range(3):
        pieces = [b"data: " + b"x" * 30, b"y" * 30, b"z" * 30, b"\n", b"\n"]
        assert [event for piece in pieces for event in splitter.feed(piece)] == [b"x" * 30 + b"y" * 30 + b"z" * 30]
