"""OpenAI's own client reads the fake provider's streams, and finds in them what our adapter finds."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from app.llm.openai import OpenAIModel
from tests.support.provider import FakeProvider, Reply, answer, call_chunks, chunk, refusal, stream, usage_chunk
from tests.unit.llm.requests import ask, calls_of, end_of, events, text_of

CALLS = [("c1", "read", '{"path":"ä"}'), ("c2", "grep", '{"pattern":"😀"}')]

ANSWERS: dict[str, Reply] = {
    "text": answer("Grüße, ", "世界"),
    "calls": answer(calls=CALLS),
    "text and calls": answer("Let me look.", calls=CALLS, usage=(1000, 20)),
    "cut at the limit": stream([chunk({"content": "x"}), chunk({}, "length"), usage_chunk(1, 2, cached=1)]),
    "slow fragments": stream(
        [*call_chunks(0, "c1", "read", *'{"path":"a b"}'), chunk({}, "tool_calls"), usage_chunk(1, 1)], delay=0.001
    ),
}


@pytest.fixture
async def client(provider: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="sk-secret", base_url=provider.base_url, max_retries=0) as client:
        yield client


async def read_officially(client: openai.AsyncOpenAI) -> dict[str, Any]:
    """Gives what the official client finds in the next answer."""
    text, finish, usage = "", None, None
    calls: dict[int, tuple[str, str]] = {}
    async for part in await client.chat.completions.create(model="m", messages=[], stream=True):
        usage = part.usage or usage
        for choice in part.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or ():
                name, arguments = calls.get(call.index, ("", ""))
                assert call.function is not None
                calls[call.index] = (name + (call.function.name or ""), arguments + (call.function.arguments or ""))
    assert usage is not None
    tokens = (usage.prompt_tokens, usage.completion_tokens)
    return {"text": text, "calls": [calls[index] for index in sorted(calls)], "finish": finish, "tokens": tokens}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_the_official_client_reads_the_same(
    client: openai.AsyncOpenAI, model: OpenAIModel, provider: FakeProvider, kind: str
) -> None:
    provider.add(ANSWERS[kind], ANSWERS[kind])
    heard = await events(model, ask())
    end = end_of(heard)
    assert await read_officially(client) == {
        "text": text_of(heard),
        "calls": calls_of(heard),
        "finish": end.stop.raw,
        "tokens": (end.usage.input_tokens, end.usage.output_tokens),
    }


async def test_the_official_client_understands_a_refusal(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    provider.add(refusal(429, "slow down"))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        await client.chat.completions.create(model="m", messages=[], stream=True)


async def test_the_fake_says_what_it_has_no_reply_for(client: openai.AsyncOpenAI, provider: FakeProvider) -> None:
    with pytest.raises(openai.BadRequestError, match="no reply"):
        await client.chat.completions.create(model="m", messages=[], stream=True)
    assert provider.requests[0].body["model"] == "m"


async def test_the_fake_may_answer_by_the_request(client: openai.AsyncOpenAI) -> None:
    async with FakeProvider(lambda request: answer(request.body["model"])) as provider:
        other = client.with_options(base_url=provider.base_url)
        chunks = await other.chat.completions.create(model="echo", messages=[], stream=True)
        texts = [part.choices[0].delta.content async for part in chunks if part.choices]
    assert "echo" in texts
