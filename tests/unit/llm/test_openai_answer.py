"""The answer's parser, on recorded bytes: what becomes of each kind of chunk, and of streams that are not whole."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given

from app.core.errors import ModelError
from app.core.messages import StopReason, Usage
from app.llm.base import Finished, ModelEvent, TextDelta, ThinkingDelta
from app.llm.openai_answer import Answer
from tests.support.provider import DONE, call_chunks, chunk, envelope, sse, usage_chunk
from tests.unit.llm.chopping import chop
from tests.unit.llm.requests import calls_of, end_of, text_of, thinking_of

STOP = chunk({}, "stop")

RECORDED = (
    b": OPENROUTER PROCESSING\n\n"
    + sse(chunk({"role": "assistant", "content": "", "refusal": None}))
    + sse(chunk({"content": None, "reasoning_content": "Hm … "}))
    + sse(chunk({"reasoning": "ja 😀"}))
    + sse(chunk({"content": "Grüße, "})).replace(b"\n", b"\r\n")
    + sse(chunk({"content": "世界\n\ndata: 🌍"}))
    + b"".join(map(sse, call_chunks(0, "c1", "read_file", '{"pa', 'th":"ä"}')))
    + b"".join(map(sse, call_chunks(1, "c2", "grep_files", '{"pattern":"😀"}')))
    + sse(chunk({}, "tool_calls"))
    + sse(usage_chunk(20, 7, cached=16))
    + DONE
)


def read(pieces: Iterable[bytes]) -> list[ModelEvent]:
    answer = Answer()
    events = [event for piece in pieces for event in answer.feed(piece)]
    return events + answer.close()


def read_chunks(*payloads: Mapping[str, Any]) -> list[ModelEvent]:
    return read([*map(sse, payloads), DONE])


def test_reads_a_recorded_answer() -> None:
    events = read([RECORDED])
    assert thinking_of(events) == "Hm … ja 😀"
    assert text_of(events) == "Grüße, 世界\n\ndata: 🌍"
    assert calls_of(events) == [("read_file", '{"path":"ä"}'), ("grep_files", '{"pattern":"😀"}')]
    usage = Usage(input_tokens=20, output_tokens=7, cached_tokens=16, model_calls=1)
    assert end_of(events) == Finished(StopReason("tool_calls", "tool_calls"), usage)


@given(chop(RECORDED))
def test_the_cuts_between_reads_make_no_difference(pieces: list[bytes]) -> None:
    assert read(pieces) == read([RECORDED])


def test_each_read_gives_what_it_completes() -> None:
    answer = Answer()
    first, second = sse(chunk({"content": "a"})), sse(chunk({"content": "b"}))
    assert answer.feed(first + second[:20]) == [TextDelta("a")]
    assert answer.feed(second[20:]) == [TextDelta("b")]


@pytest.mark.parametrize(
    ("finish", "kind"),
    [
        ("stop", "end"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("length", "length"),
        ("content_filter", "refusal"),
        ("eos_token", "other"),
    ],
)
def test_every_finish_reason_has_a_kind_and_is_kept(finish: str, kind: Any) -> None:
    assert end_of(read_chunks(chunk({"content": "x"}), chunk({}, finish))).stop == StopReason(kind, finish)


def test_stop_behind_calls_means_the_calls() -> None:
    events = read_chunks(*call_chunks(0, "c", "f", "{}"), STOP)
    assert end_of(events).stop == StopReason("tool_calls", "stop")


def test_a_refusal_is_shown_and_named() -> None:
    events = read_chunks(chunk({"refusal": "I can"}), chunk({"refusal": "not."}), STOP)
    assert text_of(events) == "I cannot."
    assert end_of(events).stop.kind == "refusal"


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": None, "completion_tokens": None}, {"prompt_tokens_details": None}],
    ids=["null", "empty", "nulls", "no details"],
)
def test_usage_that_is_missing_counts_as_zero(usage: dict[str, Any] | None) -> None:
    assert end_of(read_chunks(STOP, envelope([], usage))).usage == Usage(model_calls=1)


def test_usage_in_every_chunk_is_the_total_so_far() -> None:
    texts = (chunk({"content": "x"}, usage={"prompt_tokens": 9, "completion_tokens": n}) for n in (1, 2))
    events = read_chunks(*texts, chunk({}, "stop", usage={"prompt_tokens": 9, "completion_tokens": 3}))
    assert end_of(events).usage == Usage(input_tokens=9, output_tokens=3, model_calls=1)


ODD: list[dict[str, Any]] = [
    {},
    {"choices": None},
    {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    {"choices": [{}]},
    {"choices": [{"delta": None, "finish_reason": None}]},
    {"choices": [{"delta": {"content": None, "tool_calls": None, "reasoning": None, "refusal": None}}]},
    {"choices": [{"delta": {"content": "", "tool_calls": [], "audio": {"id": "?"}}, "logprobs": {"content": []}}]},
    {"error": None, "unknown": [1, {"deep": True}]},
]


@pytest.mark.parametrize("odd", ODD)
def test_chunks_with_nothing_in_them_give_nothing(odd: dict[str, Any]) -> None:
    assert read_chunks(odd, chunk({"content": "x"}), odd, STOP) == read_chunks(chunk({"content": "x"}), STOP)


def test_both_names_of_reasoning_at_once_are_one_thought() -> None:
    events = read_chunks(chunk({"reasoning": "hm", "reasoning_content": "hm"}), STOP)
    assert events[:-1] == [ThinkingDelta("hm")]


@pytest.mark.parametrize("tail", [b"", DONE, DONE + b"data: junk\n\n", b"data: [DONE]", b"data: [DO", b"data: {"])
def test_an_answer_is_whole_once_the_model_has_stopped(tail: bytes) -> None:
    assert read([sse(chunk({"content": "x"})), sse(STOP), tail]) == read_chunks(chunk({"content": "x"}), STOP)


def test_the_usage_counts_though_its_event_is_not_closed() -> None:
    assert end_of(read([sse(STOP), sse(usage_chunk(3, 4)).strip()])).usage.tokens() == 7


@pytest.mark.parametrize("tail", [b"", DONE, sse(usage_chunk(1, 1)), b'data: {"choices": [{"del', b": bye"])
def test_a_stream_without_a_finish_reason_is_an_error(tail: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        read([sse(chunk({"content": "x"})), tail])
    assert caught.value.retryable


@pytest.mark.parametrize(
    "junk",
    [
        b"data: {nonsense\n\n",
        b"data: []\n\n",
        b'data: {"choices": 3}\n\n',
        b'data: {"choices": [{"delta": "\xff"}]}\n\n',
    ],
)
def test_nonsense_in_the_stream_is_an_error(junk: bytes) -> None:
    answer = Answer()
    with pytest.raises(ModelError, match="cannot be read") as caught:
        answer.feed(junk)
    assert caught.value.retryable


def test_an_error_in_mid_stream_comes_after_what_was_read_before() -> None:
    answer = Answer()
    assert answer.feed(sse(chunk({"content": "x"}))) == [TextDelta("x")]
    with pytest.raises(ModelError, match="the server had an error"):
        answer.feed(sse({"error": {"message": "the server had an error", "type": "server_error"}}))


def test_an_error_in_the_same_read_does_not_hide_the_delta_before_it() -> None:
    answer = Answer()
    error = sse({"error": {"message": "overloaded", "code": 503}})
    assert answer.feed(sse(chunk({"content": "x"})) + error) == [TextDelta("x")]
    with pytest.raises(ModelError, match="overloaded"):
        answer.check()
    with pytest.raises(ModelError, match="overloaded"):
        answer.close()


def test_a_megabyte_of_text_in_one_chunk_is_too_much() -> None:
    with pytest.raises(ModelError, match="more than"):
        read([json.dumps("x" * 2**21).encode()])
