"""Tool calls in every shape that providers send them: each ends up as the same two whole calls."""

from typing import Any

import pytest

from app.core.errors import ModelError
from app.llm.base import CallDelta
from tests.support.provider import chunk
from tests.unit.llm.requests import calls_of, end_of
from tests.unit.llm.test_openai_answer import read_chunks

CALLS = [("read", '{"path":"a"}'), ("grep", '{"pattern":"b"}')]


def piece(index: int | None = None, id_: str | None = None, name: str | None = None, args: str | None = None) -> Any:
    """Gives one fragment with only what is given."""
    function = {k: v for k, v in {"name": name, "arguments": args}.items() if v is not None}
    whole = {"index": index, "id": id_, "function": function or None}
    return {key: value for key, value in whole.items() if value is not None}


SHAPES: dict[str, list[Any]] = {
    "by the book": [
        piece(0, "c1", "read", ""),
        piece(0, None, None, '{"path"'),
        piece(0, None, None, ':"a"}'),
        piece(1, "c2", "grep", ""),
        piece(1, None, None, '{"pattern":"b"}'),
    ],
    "interleaved": [
        piece(0, "c1", "read", '{"pa'),
        piece(1, "c2", "grep", '{"pat'),
        piece(0, None, None, 'th":"a"}'),
        piece(1, None, None, 'tern":"b"}'),
    ],
    "indexes that do not begin at 0": [piece(3, "c1", "read", CALLS[0][1]), piece(7, "c2", "grep", CALLS[1][1])],
    "no index, each call at once": [piece(None, "c1", "read", CALLS[0][1]), piece(None, "c2", "grep", CALLS[1][1])],
    "no index, no id": [piece(None, None, "read", CALLS[0][1]), piece(None, "", "grep", CALLS[1][1])],
    "no index, in fragments": [
        piece(None, "c1", "read", '{"path"'),
        piece(None, None, None, ':"a"}'),
        piece(None, "c2", "grep", '{"pattern"'),
        piece(None, None, None, ':"b"}'),
    ],
    "no index, by id": [
        piece(None, "c1", "read", '{"path"'),
        piece(None, "c2", "grep", '{"pattern"'),
        piece(None, "c1", None, ':"a"}'),
        piece(None, "c2", None, ':"b"}'),
    ],
    "no index, no id, the name repeated": [
        piece(None, None, "read", '{"path"'),
        piece(None, None, "read", ':"a"}'),
        piece(None, None, "grep", '{"pattern"'),
        piece(None, None, "grep", ':"b"}'),
    ],
    "the name repeated": [
        piece(0, "c1", "read", '{"path"'),
        piece(0, "c1", "read", ':"a"}'),
        piece(1, "c2", "grep", '{"pattern"'),
        piece(1, None, "grep", ':"b"}'),
    ],
    "index 0 for all": [piece(0, "c1", "read", CALLS[0][1]), piece(0, "c2", "grep", CALLS[1][1])],
    "a new id for every fragment": [
        piece(0, "x1", "read", '{"path"'),
        piece(0, "x2", None, ':"a"}'),
        piece(1, "x3", "grep", '{"pattern"'),
        piece(1, "x4", None, ':"b"}'),
    ],
    "the name after the id": [
        piece(0, "c1"),
        piece(0, None, "read"),
        piece(0, None, None, CALLS[0][1]),
        piece(1, "c2", None, '{"pattern"'),
        piece(1, None, "grep", ':"b"}'),
    ],
    "a new id for every fragment, the name late": [
        piece(0, "x1"),
        piece(0, "x2", "read", CALLS[0][1]),
        piece(1, "x3"),
        piece(1, "x4", "grep", CALLS[1][1]),
    ],
    "empty names": [
        piece(0, "c1", "read", ""),
        piece(0, "", "", CALLS[0][1]),
        piece(1, "c2", "grep", ""),
        piece(1, "", "", CALLS[1][1]),
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("together", [False, True], ids=["a chunk each", "one chunk"])
def test_every_shape_gives_the_same_calls(shape: str, together: bool) -> None:
    groups = [SHAPES[shape]] if together else [[fragment] for fragment in SHAPES[shape]]
    events = read_chunks(*(chunk({"tool_calls": group}) for group in groups), chunk({}, "tool_calls"))
    assert calls_of(events) == CALLS
    names = [event.name for event in events if isinstance(event, CallDelta) and event.name]
    assert names == ["read", "grep"]


def test_a_call_without_arguments_is_a_call() -> None:
    events = read_chunks(chunk({"tool_calls": [piece(0, "c1", "list")]}), chunk({}, "tool_calls"))
    assert events[:-1] == [CallDelta(0, "list", "")]


def test_the_same_tool_twice_without_index_or_id_is_two_calls() -> None:
    fragments = [piece(None, None, "read", '{"path":"a"}'), piece(None, None, "read", '{"path":"b"}')]
    events = read_chunks(chunk({"tool_calls": fragments}), chunk({}, "stop"))
    assert calls_of(events) == [("read", '{"path":"a"}'), ("read", '{"path":"b"}')]
    assert end_of(events).stop.kind == "tool_calls"


def test_a_call_that_never_gets_a_name_is_an_error() -> None:
    with pytest.raises(ModelError, match="without a name"):
        read_chunks(chunk({"tool_calls": [piece(0, "c1", None, "{}")]}), chunk({}, "tool_calls"))
