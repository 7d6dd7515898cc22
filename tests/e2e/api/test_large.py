"""Texts too large for a record: the log keeps their beginning, and clients get all of them."""

import json
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.api.conftest import CONTRACT
from tests.e2e.api.provided import forget, provided
from tests.e2e.api.talk import Talk
from tests.support.http import Client
from tests.support.provider import FakeProvider, answer
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

Place = tuple[FakeProvider, Server]
LONG = "".join(f"Zeile {number} 🜁\n" for number in range(6_000))
ESCAPED = "\x01" * 30_000
"""In JSON each of its characters takes six."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Place, None]:
    async with provided(tmp_path_factory.mktemp("large")) as place:
        yield place


@pytest_asyncio.fixture(loop_scope="module")
async def model(place: Place) -> FakeProvider:
    forget(place[0])
    return place[0]


@pytest_asyncio.fixture(loop_scope="module")
async def talk(place: Place) -> AsyncIterator[Talk]:
    async with Client.of(place[1].url, contract=CONTRACT) as client:
        yield Talk(client)


@pytest.mark.parametrize("text", [LONG, ESCAPED], ids=["long", "escaped"])
async def test_a_large_input_and_answer_come_back_whole(talk: Talk, model: FakeProvider, text: str) -> None:
    model.add(answer("So: ", text[:20_000], text[20_000:]), answer("Indeed."))
    result = await talk.result(text)
    assert result["output"] == f"So: {text}"
    assert await talk.said() == [("user", text), ("assistant", f"So: {text}")]
    await talk.result("and?")
    heard = [message["content"] for message in model.requests[1].body["messages"][1:]]
    assert heard == [text, f"So: {text}", "and?"]


async def test_the_stream_shows_all_of_it_and_its_record_names_the_rest(talk: Talk, model: FakeProvider) -> None:
    model.add(answer(LONG))
    texts: dict[str, str] = {}
    async with talk.api.stream("POST", f"{talk.path}/runs", json={"input": LONG}) as (_, events):
        async for event in events:
            if event.name == "delta":
                assert event.data["offset"] == len(texts.get(event.data["item"], ""))
                texts[event.data["item"]] = texts.get(event.data["item"], "") + event.data["text"]
            elif event.name in {"run.queued", "message.appended"}:
                assert len(json.dumps(event.data)) < 64 * 1024
                (part,) = event.data["input"] if event.name == "run.queued" else event.data["message"]["parts"]
                assert LONG.startswith(part["text"])
                assert part["blob"]["size"] == len(LONG.encode())
    assert list(texts.values()) == [LONG]


async def test_a_call_with_large_arguments_is_shown_whole(talk: Talk, model: FakeProvider) -> None:
    arguments = json.dumps({"path": "long.txt", "content": LONG}, ensure_ascii=False)
    model.add(answer(calls=[("c1", "write_file", arguments)]), answer("Done."))
    assert (await talk.result("write it"))["output"] == "Done."
    (call,) = (await talk.messages())[1]["message"]["parts"]
    assert call["arguments"] == arguments
    assert "blob" not in call


async def test_a_large_result_is_the_view_that_the_model_had(talk: Talk, model: FakeProvider) -> None:
    model.add(answer(calls=[("c1", "write_file", json.dumps({"path": "long.txt", "content": LONG}))]))
    model.add(answer(calls=[("c2", "read_file", '{"path": "long.txt"}')]), answer("Done."))
    await talk.result("read it")
    (result,) = (await talk.messages())[4]["message"]["parts"]
    assert "characters left out" in result["text"] or "lines" in result["text"]
    assert result["text"] == model.requests[2].body["messages"][-1]["content"]
    assert len(result["text"]) < 64 * 1024


async def test_an_input_of_many_parts_comes_back_whole(talk: Talk, model: FakeProvider) -> None:
    texts = [f"{number} " + "x" * 3_000 for number in range(64)]
    model.add(answer("Fine."))
    body = {"input": [{"type": "text", "text": text} for text in texts], "stream": False}
    answered = await talk.api.post(f"{talk.path}/runs", json=body)
    assert (answered.status, answered.json["output"]) == (200, "Fine.")
    assert [part["text"] for part in (await talk.messages())[0]["message"]["parts"]] == texts


async def test_pages_of_large_messages_are_bounded(talk: Talk, model: FakeProvider) -> None:
    large = "x" * 900_000
    for number in range(7):
        model.add(answer(str(number)))
        assert (await talk.result(large))["output"] == str(number)
    page = await talk.api.get(f"{talk.path}/messages?limit=200")
    assert len(page.body) < 6 * 1024 * 1024
    assert page.json["next"] == page.json["messages"][-1]["seq"]
    assert await talk.said() == [said for number in range(7) for said in (("user", large), ("assistant", str(number)))]
