"""The page's fold (conversation.js): events in, a view out; repeats, holes, resumes and resets included."""

from typing import Any

import pytest

from tests.e2e.browser.modules import Modules

pytestmark = pytest.mark.asyncio(loop_scope="package")

Event = dict[str, Any]

RUN = "run_1"
FOLD = "({fold, empty}, events) => events.reduce(fold, empty)"


def record(seq: int, kind: str, run: str = RUN, **fields: Any) -> Event:
    return {"type": kind, "data": {"seq": seq, "type": kind, "run_id": run, **fields}}


def delta(text: str, offset: int, item: str = f"{RUN}:0:0", kind: str = "text") -> Event:
    return {"type": "delta", "data": {"run_id": RUN, "item": item, "kind": kind, "offset": offset, "text": text}}


def snapshot(text: str, item: str = f"{RUN}:0:0", kind: str = "text") -> Event:
    return {"type": "item.snapshot", "data": {"run_id": RUN, "item": item, "kind": kind, "text": text}}


def message(seq: int, *parts: Event, step: int = 0, **fields: Any) -> Event:
    answer = {"role": "assistant", "parts": list(parts)}
    return record(seq, "message.appended", item=f"{RUN}:{step}:0", message=answer, seen=2, **fields)


def text(content: str) -> Event:
    return {"type": "text", "text": content}


def call(index: int, name: str = "read_file", arguments: str = "{}") -> Event:
    return {"type": "tool_call", "item": f"{RUN}:0:{index}", "call_id": "c", "name": name, "arguments": arguments}


def result(seq: int, index: int, content: str, outcome: str = "ok") -> Event:
    item = f"{RUN}:0:{index}"
    part = {"type": "tool_result", "item": item, "call_id": "c", "name": "read_file", "text": content}
    return record(seq, "tool.finished", item=item, result=part, outcome=outcome)


BEGUN = [record(1, "session.created", run=""), record(2, "run.queued", input=[text("hi")]), record(3, "run.started")]


async def texts(modules: Modules, *events: Event) -> list[str]:
    """Gives the text of every entry after a run has begun and those events have come."""
    view = await modules.call("conversation", FOLD, [*BEGUN, *events])
    return [_shown(entry) for run in view["runs"] for entry in run["entries"]]


def _shown(entry: Event) -> str:
    match entry["kind"]:
        case "answer":
            return entry["pieces"]["text"]["text"]
        case "call":
            pieces = entry["pieces"]
            return f"{entry['name']}({pieces['args']['text']}) {entry['status']} {pieces['output']['text']}".strip()
        case kind:
            return entry.get("text", kind)


async def test_deltas_add_up_by_code_points(modules: Modules) -> None:
    assert await texts(modules, delta("👋🏽a", 0), delta("b👩‍🚀", 3), delta("!", 7)) == ["hi", "👋🏽ab👩‍🚀!"]


async def test_repeated_and_overlapping_deltas_change_nothing(modules: Modules) -> None:
    events = [delta("👋🏽a", 0), delta("👋🏽a", 0), delta("ab", 2), delta("👋", 0)]

    assert await texts(modules, *events) == ["hi", "👋🏽ab"]


async def test_beyond_a_hole_nothing_is_shown_until_a_snapshot(modules: Modules) -> None:
    gap = {"type": "gap", "data": {"epoch": 1, "from": 2, "to": 2}}
    events = [delta("one ", 0), gap, delta("three", 8)]

    assert await texts(modules, *events) == ["hi", "one "]
    assert await texts(modules, *events, snapshot("one two three"), delta("!", 13)) == ["hi", "one two three!"]


async def test_a_message_replaces_its_items_and_closes_them(modules: Modules) -> None:
    args = f"{RUN}:0:1"
    events = [delta("dra", 0), delta('{"pa', 0, args, "args"), message(4, text("final"), call(1))]

    assert await texts(modules, *events) == ["hi", "final", "read_file({}) running"]
    late = [delta("draft", 0), snapshot("draft"), delta('{"path"', 0, args, "args")]
    assert await texts(modules, *events, *late) == ["hi", "final", "read_file({}) running"]


async def test_a_steered_input_keeps_its_place_behind_the_open_answer(modules: Modules) -> None:
    steered = record(4, "input.steered", input_id="run_2", input=[text("left")])

    assert await texts(modules, delta("dra", 0), steered, message(5, text("final"))) == ["hi", "final", "left"]


async def test_outputs_grow_and_results_replace_them(modules: Modules) -> None:
    one, two = f"{RUN}:0:1", f"{RUN}:0:2"
    events = [message(4, call(1), call(2)), delta("x", 0, two, "output"), delta("y", 0, one, "output")]

    assert await texts(modules, *events) == ["hi", "read_file({}) running y", "read_file({}) running x"]
    done = [result(5, 2, "no file", "error"), delta("late", 0, two, "output"), result(6, 1, "found")]
    assert await texts(modules, *events, *done) == ["hi", "read_file({}) ok found", "read_file({}) error no file"]


async def test_a_resumed_run_drops_what_was_open(modules: Modules) -> None:
    resumed = record(4, "run.resumed", attempt=2, reason="takeover", epoch=2)
    events = [delta("lost words", 0), resumed, delta("new", 0)]

    assert await texts(modules, *events) == ["hi", "note", "new"]


async def test_an_epoch_that_is_gone_drops_only_what_was_open(modules: Modules) -> None:
    reset = {"type": "reset", "data": {"reason": "epoch", "after": 3}}

    assert await texts(modules, delta("lost", 0), reset, delta("new", 0)) == ["hi", "new"]


@pytest.mark.parametrize("reason", ["birth", "beyond"])
async def test_another_log_starts_over(modules: Modules, reason: str) -> None:
    reset = {"type": "reset", "data": {"reason": reason, "after": 0}}

    assert await texts(modules, message(4, text("old")), reset, *BEGUN, delta("new", 0)) == ["hi", "new"]


async def test_records_that_come_twice_count_once(modules: Modules) -> None:
    events = [message(4, text("one")), result(5, 1, "x"), message(6, text("two"), step=2), record(7, "run.finished")]

    assert await texts(modules, *events) == await texts(modules, *events, *BEGUN, *events)


async def test_a_finished_run_takes_no_more_text(modules: Modules) -> None:
    finished = record(5, "run.finished", status="cancelled")

    assert await texts(modules, message(4, call(1)), finished, delta("x", 0, f"{RUN}:1:0")) == [
        "hi",
        "read_file({}) stopped",
    ]


async def test_runs_stand_in_the_order_they_were_asked_for(modules: Modules) -> None:
    late = [record(9, "run.queued", run="run_3", input=[text("third")])]
    early = [record(5, "run.queued", run="run_2", input=[text("second")])]

    assert await texts(modules, *late, *early) == ["hi", "second", "third"]


async def test_it_knows_up_to_where_it_has_every_record(modules: Modules) -> None:
    events = [*BEGUN, record(9, "run.finished", status="completed")]
    view = await modules.call("conversation", FOLD, events)

    assert (view["known"], view["seen"]) == (3, 9)


async def test_what_did_not_change_is_the_same_object(modules: Modules) -> None:
    same = """({fold, empty}, events) => {
        const one = events.slice(0, -1).reduce(fold, empty), two = fold(one, events.at(-1));
        return [one.runs[0] === two.runs[0], one.runs[1] === two.runs[1]];
    }"""
    second = [record(5, "run.queued", run="run_2", input=[]), record(6, "run.started", run="run_2")]
    finished = record(4, "run.finished", status="completed")

    assert await modules.call("conversation", same, [*BEGUN, finished, *second]) == [True, False]


async def test_an_input_on_its_way_is_shown_until_its_record_comes(modules: Modules) -> None:
    pending = """({fold, pend, empty}, events) => {
        const sent = pend(empty, "key", "hi");
        return [sent.pending.length, events.reduce(fold, sent).pending.length];
    }"""

    assert await modules.call("conversation", pending, BEGUN) == [1, 0]


async def test_an_input_of_which_the_log_keeps_the_beginning_is_recognised(modules: Modules) -> None:
    pending = "({fold, pend, empty}, event) => fold(pend(empty, 'key', 'a very long input'), event).pending"
    kept = {"type": "text", "text": "a very", "blob": {"sha256": "0", "size": 17}}

    assert await modules.call("conversation", pending, record(2, "run.queued", input=[kept])) == []
