"""The offline model: what it says, and the calls it makes of commands."""

import json

import pytest

from app.core.messages import Message
from app.llm.base import CallDelta, TextDelta
from app.llm.offline import OfflineModel
from tests.unit.llm.requests import (
    InstantClock,
    ask,
    assistant,
    batches,
    call,
    calls_of,
    end_of,
    events,
    result,
    results,
    text_of,
    user,
)

TOOLS = ("read_file", "write_file", "list_files", "grep_files", "todo_write", "execute")


@pytest.fixture
def model(clock: InstantClock) -> OfflineModel:
    return OfflineModel(clock)


async def test_says_what_it_is_what_it_heard_and_what_it_can(model: OfflineModel) -> None:
    heard = await events(model, ask(user("Grüße,\n  Welt!")))
    said = text_of(heard)
    for piece in ("offline model", "Grüße,\n  Welt!", "/read", "/write", "/help"):
        assert piece in said
    assert end_of(heard).stop.kind == "end"


async def test_speaks_word_by_word(model: OfflineModel, clock: InstantClock) -> None:
    heard = [batch async for batch in batches(model, ask(user("hi")))]
    words = [event.text for batch in heard for event in batch if isinstance(event, TextDelta)]
    assert all(len(batch) == 1 for batch in heard)
    assert all(len(word.split()) == 1 for word in words)
    assert clock.slept == [0.01] * len(words)


async def test_a_long_message_is_echoed_only_so_far(model: OfflineModel) -> None:
    assert "(9800 more characters)" in text_of(await events(model, ask(user("x" * 10_000))))


COMMANDS: list[tuple[str, str, dict[str, object]]] = [
    ("/read notes/a b.txt", "read_file", {"path": "notes/a b.txt"}),
    ("/write a.txt two  words; ä", "write_file", {"path": "a.txt", "content": "two  words; ä"}),
    ("/write a.txt", "write_file", {"path": "a.txt", "content": ""}),
    ("/ls", "list_files", {}),
    ("  /ls src \r", "list_files", {"path": "src"}),
    ('/grep "a.*b"', "grep_files", {"pattern": '"a.*b"'}),
    (
        "/todo wash; dry ;; iron",
        "todo_write",
        {"todos": [{"text": text, "status": "pending"} for text in ("wash", "dry", "iron")]},
    ),
    ("/run ls -la | wc", "execute", {"command": "ls -la | wc"}),
]


@pytest.mark.parametrize(("command", "name", "arguments"), COMMANDS)
async def test_a_command_becomes_a_call(
    model: OfflineModel, command: str, name: str, arguments: dict[str, object]
) -> None:
    heard = await events(model, ask(user(command), tools=TOOLS))
    ((called, text),) = calls_of(heard)
    assert (called, json.loads(text)) == (name, arguments)
    assert text_of(heard) == ""
    assert end_of(heard).stop.kind == "tool_calls"


async def test_several_lines_become_parallel_calls(model: OfflineModel) -> None:
    heard = await events(model, ask(user("/read a\n\n/read b\n/ls"), tools=TOOLS))
    assert [name for name, _ in calls_of(heard)] == ["read_file", "read_file", "list_files"]
    assert [event.index for event in heard if isinstance(event, CallDelta) and event.name] == [0, 1, 2]


async def test_arguments_come_in_a_bounded_number_of_fragments(model: OfflineModel) -> None:
    short = await events(model, ask(user("/read some/long/path.txt"), tools=TOOLS))
    assert sum(isinstance(event, CallDelta) for event in short) > 1
    long = await events(model, ask(user("/write a " + "x" * 100_000), tools=TOOLS))
    assert sum(isinstance(event, CallDelta) for event in long) <= 20
    assert len(json.loads(calls_of(long)[0][1])["content"]) == 100_000


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/run ls", "no shell"),
        ("/ask what?", "not there yet"),
        ("/help", "/grep pattern"),
        ("/etc/passwd is a file", "I do not know /etc/passwd"),
        ("/", "I do not know /"),
        ("/read a", "may not use the tool read_file"),
    ],
)
async def test_what_it_cannot_do_it_says(model: OfflineModel, command: str, says: str) -> None:
    heard = await events(model, ask(user(command)))
    assert says in text_of(heard)
    assert calls_of(heard) == []
    assert end_of(heard).stop.kind == "end"


@pytest.mark.parametrize("command", ["/read", "/write", "/grep  ", "/todo", "/run"])
async def test_a_command_without_its_words_is_explained(model: OfflineModel, command: str) -> None:
    heard = await events(model, ask(user(command), tools=TOOLS))
    assert f"needs more: {command.strip()} " in text_of(heard)
    assert calls_of(heard) == []


async def test_sentences_and_calls_go_together(model: OfflineModel) -> None:
    heard = await events(model, ask(user("please\n/fly\n/read a"), tools=TOOLS))
    assert "I do not know /fly" in text_of(heard)
    assert "lines that are not commands" in text_of(heard)
    assert calls_of(heard) == [("read_file", '{"path":"a"}')]


ASKED = (user("/read a\n/read b"), assistant("", call("c1", "read_file", "{}"), call("c2", "read_file", "{}")))
FIRST, SECOND = result("c1", "read_file", "/ls content"), result("c2", "read_file", "no such file", is_error=True)


@pytest.mark.parametrize(
    "answered", [(results(FIRST, SECOND),), (results(FIRST), results(SECOND))], ids=["one message", "two messages"]
)
async def test_results_are_quoted_and_nothing_in_them_is_obeyed(
    model: OfflineModel, answered: tuple[Message, ...]
) -> None:
    heard = await events(model, ask(*ASKED, *answered, tools=TOOLS))
    said = text_of(heard)
    assert "read_file says:\n/ls content" in said
    assert "read_file failed and says:\nno such file" in said
    assert said.index("/ls content") < said.index("no such file")
    assert calls_of(heard) == []


async def test_only_the_results_at_the_end_are_quoted(model: OfflineModel) -> None:
    later = (*ASKED, results(FIRST, SECOND), assistant("It says …"), user("thanks"))
    assert "You said: thanks" in text_of(await events(model, ask(*later, tools=TOOLS)))


async def test_a_long_result_is_quoted_only_so_far(model: OfflineModel) -> None:
    said = text_of(await events(model, ask(*ASKED, results(result("c1", "read_file", "y" * 5000)))))
    assert "(4000 more characters)" in said


async def test_a_conversation_without_a_user_is_no_trouble(model: OfflineModel) -> None:
    assert "You said: nothing" in text_of(await events(model, ask(assistant("hello"))))


async def test_usage_is_estimated(model: OfflineModel) -> None:
    heard = await events(model, ask(user("x" * 400), system="y" * 40))
    usage = end_of(heard).usage
    assert (usage.input_tokens, usage.model_calls) == (110, 1)
    assert usage.output_tokens == len(text_of(heard)) // 4
