"""Strategies for any value a record may hold: built from the types, so that a new field is covered the day it comes."""

import types
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NewType, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from app.core.ids import CallId, ItemId, RunId
from app.core.records import AnyRecord, Entry

RUNS = tuple(RunId(f"run_0000000000000000_{name}") for name in "abc")
ITEMS = tuple(ItemId(f"{run}:{step}:{index}") for run in RUNS for step in (0, 1) for index in (0, 1, 2))
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

text = st.text(max_size=12)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
# Few names, so that records of an arbitrary log meet each other's runs and calls.
NAMED: dict[object, st.SearchStrategy[Any]] = {
    RunId: st.sampled_from(RUNS),
    ItemId: st.sampled_from(ITEMS),
    CallId: st.sampled_from([CallId(f"call_{i}") for i in range(4)]),
    datetime: st.integers(0, 10**12).map(lambda us: EPOCH + timedelta(microseconds=us)),
    int: st.integers(-2, 12) | st.integers(),
    str: text,
    dict[str, Any]: st.dictionaries(text, json_values, max_size=3),
}


def arbitrary(kind: Any) -> st.SearchStrategy[Any]:
    """Gives values of that type, whatever they mean."""
    if kind in NAMED:
        return NAMED[kind]
    if isinstance(kind, NewType):
        return arbitrary(kind.__supertype__)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return st.deferred(lambda: st.builds(kind, **{field.name: arbitrary(field.type) for field in fields}))
    return _generic(kind)


def _generic(kind: Any) -> st.SearchStrategy[Any]:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in {Union, types.UnionType}:
        return st.one_of(*(arbitrary(arg) for arg in args))
    if origin is tuple:
        return st.lists(arbitrary(args[0]), max_size=3).map(tuple)
    return st.from_type(kind)


records: st.SearchStrategy[AnyRecord] = arbitrary(AnyRecord)
"""Any record of any type."""


def entries_of(written: list[AnyRecord]) -> tuple[Entry, ...]:
    """Gives the records as a log. The bodies are left out: the fold must not read them."""
    return tuple(Entry(seq, record, b"") for seq, record in enumerate(written, 1))


arbitrary_logs = st.lists(records, max_size=25).map(entries_of)
"""Any sequence of records, mostly nonsense."""
