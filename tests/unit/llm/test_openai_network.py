"""The openai provider over a real socket: what is sent, what breaks, and what is closed."""

import asyncio
import json
from contextlib import aclosing

import aiohttp
import pytest

from app.core.errors import ModelError
from app.llm.base import ModelEvent, TextDelta
from app.llm.openai import OpenAIModel
from tests.support.provider import (
    DONE,
    RESET,
    STALL,
    FakeProvider,
    Pause,
    Reply,
    answer,
    chunk,
    refusal,
    sse,
    stream,
    usage_chunk,
)
from tests.unit.llm.requests import ask, batches, calls_of, end_of, events, text_of, user


async def failure(model: OpenAIModel) -> ModelError:
    """Gives the error that the next answer ends with."""
    with pytest.raises(ModelError) as caught:
        await events(model, ask())
    return caught.value


async def test_a_whole_answer(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(answer("Hel", "lo", calls=[("c1", "read", '{"path":"ä"}')], usage=(20, 7)))
    heard = await events(model, ask())
    assert text_of(heard) == "Hello"
    assert calls_of(heard) == [("read", '{"path":"ä"}')]
    assert end_of(heard).usage.tokens() == 27


async def test_the_request_is_what_a_provider_expects(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(answer("x"))
    await events(model, ask())
    (request,) = provider.requests
    assert request.headers["Authorization"] == "Bearer sk-secret"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "text/event-stream"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.body["stream"] is True


async def test_the_key_is_read_for_every_request(session: aiohttp.ClientSession, provider: FakeProvider) -> None:
    keys = iter(["old", "new", None, ""])
    model = OpenAIModel(session, provider.base_url + "/", lambda: next(keys))
    for _ in range(4):
        provider.add(answer("x"))
        await events(model, ask())
    sent = [request.headers.get("Authorization") for request in provider.requests]
    assert sent == ["Bearer old", "Bearer new", None, None]


@pytest.mark.parametrize("key", ["sk\n", "sk\r\nX-Evil: 1", "schlüssel", "\x00"])
async def test_a_key_that_no_header_can_carry_is_not_repeated(session: aiohttp.ClientSession, key: str) -> None:
    error = await failure(OpenAIModel(session, "http://127.0.0.1:9", lambda: key))
    assert key not in str(error)
    assert not error.retryable


async def test_one_connection_serves_one_answer_after_the_other(model: OpenAIModel, provider: FakeProvider) -> None:
    for _ in range(3):
        provider.add(answer("x"))
        await events(model, ask())
    assert len(provider.connections) == 1


async def test_a_body_that_ends_just_behind_its_last_event_keeps_the_connection(
    model: OpenAIModel, provider: FakeProvider
) -> None:
    for _ in range(2):
        finished = asyncio.Event()
        provider.add(Reply(steps=[sse(chunk({"content": "x"}, "stop")) + DONE, finished]))
        async for _ in batches(model, ask()):
            finished.set()
    assert len(provider.connections) == 1


async def test_a_request_of_megabytes_is_sent_whole(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(answer("x"))
    long = "ä" * 2_000_000
    await events(model, ask(user(long)))
    assert provider.requests[0].body["messages"][1]["content"] == long


async def test_each_read_is_one_batch_at_once(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(Reply(steps=[sse(chunk({"content": "a"})) + sse(chunk({"content": "b"}))], end=STALL))
    async with asyncio.timeout(5), aclosing(model.stream(ask())) as read:
        assert await anext(read) == [TextDelta("a"), TextDelta("b")]


async def test_closing_the_answer_ends_the_request(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(answer("a", end=STALL))
    async with asyncio.timeout(5):
        async with aclosing(model.stream(ask())) as read:
            await anext(read)
        await provider.requests[0].gone.wait()


async def test_cancelling_the_reader_ends_the_request(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(answer("a", end=STALL))
    async with asyncio.timeout(5):
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(events(model, ask()))
            request = await provider.arrival()
            reader.cancel()
        await request.gone.wait()
    assert reader.cancelled()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_refusal_that_may_pass(model: OpenAIModel, provider: FakeProvider, status: int) -> None:
    provider.add(refusal(status, "slow down", {"Retry-After": "2"}))
    error = await failure(model)
    assert error.retryable
    assert error.retry_after == 2.0
    assert "slow down" in str(error)


async def test_a_refusal_with_a_date_is_read_against_the_answers_own_clock(
    model: OpenAIModel, provider: FakeProvider
) -> None:
    dates = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:29:00 GMT"}
    provider.add(refusal(429, "slow down", dates))
    assert (await failure(model)).retry_after == 60.0


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_that_stays(model: OpenAIModel, provider: FakeProvider, status: int) -> None:
    provider.add(refusal(status, "wrong key sk-secret " + "x" * 5000))
    error = await failure(model)
    assert not error.retryable
    assert "wrong key [key]" in str(error)
    assert len(str(error)) < 600


async def test_a_refusal_without_end_is_read_only_so_far(
    session: aiohttp.ClientSession, provider: FakeProvider
) -> None:
    provider.add(Reply(status=500, steps=[b"x" * 100_000], end=STALL), Reply(status=500, steps=[b"oops"], end=STALL))
    model = OpenAIModel(session, provider.base_url, lambda: None, idle=0.05)
    async with asyncio.timeout(5):
        assert (await failure(model)).retryable
        assert "500" in str(await failure(model))


async def test_a_redirect_is_not_followed(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(Reply(status=307, headers={"Location": provider.base_url + "/chat/completions"}))
    assert "307" in str(await failure(model))
    assert len(provider.requests) == 1


async def test_json_instead_of_a_stream_is_an_error(model: OpenAIModel, provider: FakeProvider) -> None:
    whole = json.dumps({"error": {"message": "no streams here"}}).encode()
    provider.add(Reply(steps=[whole], headers={"Content-Type": "application/json; charset=utf-8"}))
    assert "no streams here" in str(await failure(model))


async def test_an_error_in_mid_stream(model: OpenAIModel, provider: FakeProvider) -> None:
    error = sse({"error": {"message": "overloaded, sk-secret", "type": "server_error"}})
    provider.add(Reply(steps=[sse(chunk({"content": "Hel"})) + error], end=STALL))
    async with asyncio.timeout(4), aclosing(model.stream(ask())) as read:
        assert await anext(read) == [TextDelta("Hel")]
        with pytest.raises(ModelError, match=r"overloaded, \[key\]") as caught:
            await anext(read)
    assert caught.value.retryable


async def test_a_reset_in_mid_stream(model: OpenAIModel, provider: FakeProvider) -> None:
    seen = asyncio.Event()
    provider.add(Reply(steps=[sse(chunk({"content": "Hel"})), seen], end=RESET))
    async with aclosing(model.stream(ask())) as read:
        assert await anext(read) == [TextDelta("Hel")]
        seen.set()
        with pytest.raises(ModelError, match="connection") as caught:
            await anext(read)
    assert caught.value.retryable


async def test_a_reset_behind_the_last_word_does_no_harm(model: OpenAIModel, provider: FakeProvider) -> None:
    last, seen = sse(chunk({"content": "x"}, "stop")) + sse(usage_chunk(3, 4)), asyncio.Event()
    provider.add(Reply(steps=[last, seen], end=RESET))
    heard: list[ModelEvent] = []
    async for batch in batches(model, ask()):
        heard += batch
        seen.set()
    assert end_of(heard).usage.tokens() == 7


async def test_a_stream_that_just_ends(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(Reply(steps=[sse(chunk({"content": "Hel"})), DONE]), Reply())
    for _ in range(2):
        assert (await failure(model)).retryable


async def test_silence_before_the_first_byte(session: aiohttp.ClientSession, provider: FakeProvider) -> None:
    provider.add(Reply(gate=asyncio.Event()), Reply(end=STALL))
    model = OpenAIModel(session, provider.base_url, lambda: None, first_byte=0.05)
    for _ in range(2):
        async with asyncio.timeout(5):
            error = await failure(model)
        assert error.retryable
        assert "in time" in str(error)


async def test_silence_in_mid_stream(session: aiohttp.ClientSession, provider: FakeProvider) -> None:
    provider.add(answer("Hel", end=STALL))
    model = OpenAIModel(session, provider.base_url, lambda: None, idle=0.05)
    async with asyncio.timeout(5):
        assert (await failure(model)).retryable
        await provider.requests[0].gone.wait()


async def test_a_slow_reader_is_not_the_providers_silence(
    session: aiohttp.ClientSession, provider: FakeProvider
) -> None:
    first, go, *rest = sse(chunk({"content": "a"})), asyncio.Event(), sse(chunk({"content": "b"}, "stop")), DONE
    provider.add(Reply(steps=[first, go, *rest]))
    model = OpenAIModel(session, provider.base_url, lambda: None, idle=0.2)
    heard: list[ModelEvent] = []
    async for batch in batches(model, ask()):
        await asyncio.sleep(0 if go.is_set() else 0.3)
        go.set()
        heard += batch
    assert text_of(heard) == "ab"


async def test_comments_keep_a_slow_answer_alive(session: aiohttp.ClientSession, provider: FakeProvider) -> None:
    waiting = [step for _ in range(8) for step in (Pause(0.05), b": wait\n\n")]
    provider.add(Reply(steps=[*waiting, *stream([chunk({"content": "x"}, "stop")]).steps]))
    model = OpenAIModel(session, provider.base_url, lambda: None, idle=0.3)
    assert text_of(await events(model, ask())) == "x"


async def test_nobody_listens(session: aiohttp.ClientSession, provider: FakeProvider) -> None:
    await provider.__aexit__()
    error = await failure(OpenAIModel(session, provider.base_url, lambda: "sk-secret"))
    assert error.retryable
    assert "sk-secret" not in str(error)


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "ftp://127.0.0.1"])
async def test_a_base_url_that_is_none_is_not_tried_again(session: aiohttp.ClientSession, url: str) -> None:
    assert not (await failure(OpenAIModel(session, url, lambda: None))).retryable


async def test_an_event_without_end_is_cut_off(model: OpenAIModel, provider: FakeProvider) -> None:
    provider.add(Reply(steps=[b"data: "] + [b"x" * 65536] * 40, end=STALL))
    async with asyncio.timeout(5):
        assert "more than" in str(await failure(model))
