"""The scripted model: every action, the choice of the turn, and scripts that are wrong."""

from contextlib import aclosing
from pathlib import Path

import pytest

from app.core.errors import ConfigError, ModelError
from app.core.messages import StopReason, Usage
from app.llm import scripted
from app.llm.base import CallDelta, Finished, TextDelta, ThinkingDelta
from app.llm.scripted import ScriptedModel
from tests.unit.llm.requests import InstantClock, ask, assistant, call, end_of, events, result, results, text_of, user

THREE = """
turns:
  - [text: one]
  - [text: two]
  - [text: three]
"""
MIXED = """
turns:
  - - text: by number
replies:
  - match: weather
    steps:
      - - call: {name: look, arguments: {where: out}}
      - - text: sunny
  - match: weather in Rome
    steps: [[text: never]]
"""


async def test_plays_every_action_in_order(clock: InstantClock) -> None:
    script = """
    turns:
      - - thinking: hmm
          chunk: 2
        - text: "ab😀d"
          chunk: 3
          delay: 0.5
        - call: {name: read, arguments: {path: ä}}
        - call: {name: grep, arguments: '{"pattern": '}
          chunk: 8
        - call: {name: list}
        - usage: {input_tokens: 10, output_tokens: 5, cached_tokens: 3}
        - stop: length
    """
    assert await events(ScriptedModel(script, clock), ask()) == [
        ThinkingDelta("hm"),
        ThinkingDelta("m"),
        TextDelta("ab😀"),
        TextDelta("d"),
        CallDelta(0, "read", '{"path":"ä"}'),
        CallDelta(1, "grep", '{"patter'),
        CallDelta(1, "", 'n": '),
        CallDelta(2, "list", "{}"),
        Finished(StopReason("length"), Usage(input_tokens=10, output_tokens=5, cached_tokens=3, model_calls=1)),
    ]
    assert sum(clock.slept) == 1.0


@pytest.mark.parametrize(("turn", "kind"), [("[text: x]", "end"), ("[call: {name: f}]", "tool_calls"), ("[]", "end")])
async def test_stops_for_the_calls_or_at_the_end(clock: InstantClock, turn: str, kind: str) -> None:
    assert end_of(await events(ScriptedModel(f"turns: [{turn}]", clock), ask())).stop.kind == kind


@pytest.mark.parametrize(("answers", "text"), [(0, "one"), (1, "two"), (2, "three")])
async def test_the_turn_is_the_number_of_answers_so_far(clock: InstantClock, answers: int, text: str) -> None:
    history = [message for n in range(answers) for message in (user(f"q{n}"), assistant("a"))]
    for _ in range(2):
        assert text_of(await events(ScriptedModel(THREE, clock), ask(*history, user("next")))) == text


async def test_results_do_not_count_as_answers(clock: InstantClock) -> None:
    history = (user("q"), assistant("", call("c", "f", "{}")), results(result("c", "f", "done")))
    assert text_of(await events(ScriptedModel(THREE, clock), ask(*history))) == "two"


async def test_behind_the_last_turn_comes_an_error_or_the_first(clock: InstantClock) -> None:
    history = [message for _ in range(4) for message in (user("q"), assistant("a"))]
    with pytest.raises(ModelError, match="3 turns") as caught:
        await events(ScriptedModel(THREE, clock), ask(*history))
    assert not caught.value.retryable
    assert text_of(await events(ScriptedModel(THREE + "loop: true", clock), ask(*history))) == "two"


async def test_a_match_comes_first_and_counts_from_its_message(clock: InstantClock) -> None:
    model = ScriptedModel(MIXED, clock)
    before = (user("hello"), assistant("hi"), user("weather in Rome?"))
    assert end_of(await events(model, ask(*before))).stop.kind == "tool_calls"
    after = (*before, assistant("", call("c", "look", "{}")), results(result("c", "look", "sun")))
    assert text_of(await events(model, ask(*after))) == "sunny"
    assert text_of(await events(model, ask(user("hello")))) == "by number"
    with pytest.raises(ModelError, match="script is over"):
        await events(model, ask(*after, assistant("sunny")))


async def test_an_error_comes_behind_what_was_said(clock: InstantClock) -> None:
    script = "turns: [[{text: Hel}, {error: {message: overloaded, retryable: true, retry_after: 1.5}}]]"
    async with aclosing(ScriptedModel(script, clock).stream(ask())) as batches:
        assert await anext(batches) == (TextDelta("Hel"),)
        with pytest.raises(ModelError, match="overloaded") as caught:
            await anext(batches)
    assert (caught.value.retryable, caught.value.retry_after) == (True, 1.5)


async def test_a_break_ends_the_stream_without_its_last_event(clock: InstantClock) -> None:
    script = "turns: [[{text: Hel}, {break: true}, {text: lo}]]"
    assert await events(ScriptedModel(script, clock), ask()) == [TextDelta("Hel")]


async def test_a_failure_may_happen_only_so_often(clock: InstantClock) -> None:
    model = ScriptedModel("turns: [[{error: {message: down}, times: 2}, {text: fine}]]", clock)
    for _ in range(2):
        with pytest.raises(ModelError, match="down"):
            await events(model, ask())
    assert text_of(await events(model, ask())) == "fine"
    assert text_of(await events(model, ask())) == "fine"


async def test_equal_failures_of_two_turns_are_counted_apart(clock: InstantClock) -> None:
    failing = "[{error: {message: down}, times: 1}, {text: fine}]"
    model = ScriptedModel(f"turns: [{failing}, {failing}]", clock)
    for history in ((user("a"),), (user("a"), assistant("fine"), user("b"))):
        with pytest.raises(ModelError, match="down"):
            await events(model, ask(*history))
        assert text_of(await events(model, ask(*history))) == "fine"


async def test_the_script_may_be_a_file(clock: InstantClock, tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(THREE, "utf-8")
    assert text_of(await events(ScriptedModel(path, clock), ask())) == "one"


async def test_the_documented_script_is_legal(clock: InstantClock) -> None:
    document = "\n".join(line for line in (scripted.__doc__ or "").splitlines() if line.startswith("    "))
    heard = await events(ScriptedModel(document, clock), ask())
    assert text_of(heard) == "I will read it. "
    with pytest.raises(ModelError, match="overloaded"):
        await events(ScriptedModel(document, clock), ask(user("weather?")))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("turns: [", "parsing"),
        ("[]", "Expected `object`"),
        ("turns: [[{sing: la}]]", "sing"),
        ("turns: [[{text: a, thinking: b}]]", "an action is one of"),
        ("turns: [[{delay: 1}]]", "an action is one of"),
        ("turns: [[{text: a, chunk: 0}]]", "chunk"),
        ("turns: [[{stop: never}]]", "stop"),
        ("turns: [[{break: false}]]", "break"),
        ("turns: [[{call: {arguments: {}}}]]", "name"),
        ("turn: []", "turn"),
    ],
)
def test_a_wrong_script_stops_the_start_and_says_why(clock: InstantClock, script: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ScriptedModel(script, clock)


def test_a_script_that_cannot_be_read_stops_the_start(clock: InstantClock, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"turns: [[text: \xff]]")
    for path in (tmp_path / "missing.yaml", tmp_path / "latin.yaml"):
        with pytest.raises(ConfigError, match="cannot be used"):
            ScriptedModel(path, clock)
