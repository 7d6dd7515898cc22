"""Inputs read the short way: whatever the request, the answer is the one that FastAPI's way gives."""

import json
from typing import Any

import pytest

from app.api import intake
from tests.api.conftest import client_of
from tests.api.fake_engine import FakeEngine
from tests.api.test_bad_input import BAD_BODIES
from tests.support.http import Client

CHAT, RUNS = "/v1/chat", "/v1/agents/assistant/sessions/s1/runs"
JSON = {"Content-Type": "application/json"}

GOOD: dict[str, Any] = {
    "text": {"input": "hi"},
    "parts": {"input": [{"type": "text", "text": "hi"}], "metadata": {"a": "b"}, "on_busy": "reject"},
    "twice": {"input": "hi", "stream": False},
}
REQUESTS: list[tuple[str, bytes, dict[str, str]]] = [
    *((path, json.dumps(body).encode(), JSON) for path in (CHAT, RUNS) for body in (GOOD | BAD_BODIES).values()),
    (CHAT, b"{", JSON),
    (CHAT, b"", JSON),
    (CHAT, b'{"input": "a", "input": "b"}', JSON),
    (CHAT, b'{"input": "\xff"}', JSON),
    (CHAT, b"[" * 100_000, JSON),
    (CHAT, b'{"input": "x", "metadata": NaN}', JSON),
    (CHAT, b'{"input": "hi"}', {}),
    (CHAT, b'{"input": "hi"}', {"Content-Type": "text/plain"}),
    (CHAT, b'{"input": "hi"}', {"Content-Type": "application/json; charset=utf-8"}),
    (CHAT, b'{"input": "hi"}', {"Content-Type": "application/vnd.x+json"}),
    (CHAT, b'{"input": "hi"}', JSON | {"Authorization": "Bearer mallory"}),
    (CHAT, b'{"input": "hi"}', JSON | {"Authorization": "Bearer reader"}),
    (CHAT, b'{"input": 7}', JSON | {"Authorization": "Bearer mallory"}),
    (CHAT, b'{"input": "hi"}', JSON | {"Idempotency-Key": "k"}),
    (CHAT, b'{"input": "hi"}', JSON | {"Idempotency-Key": "é"}),
    (CHAT, b'{"input": "hi"}', JSON | {"Last-Event-ID": "not one"}),
    (CHAT + "?x=1", b'{"input": "hi"}', JSON),
    ("/v1/agents/NO%20AGENT/sessions/s1/runs", b'{"input": "hi"}', JSON),
    ("/v1/agents/assistant/sessions/%2e%2e/runs", b'{"input": "hi"}', JSON),
    ("/v1/agents/assistant/sessions/a%C2%85/runs", b'{"input": "hi"}', JSON),
    ("/v1/agents/assistant/sessions/%C3%A9/runs", b'{"input": "hi"}', JSON),
]


async def answers() -> tuple[list[tuple[int, bytes]], list[Any]]:
    """Gives the answers to all of them, and what reached the engine."""
    engine = FakeEngine()
    async with client_of(engine) as api:
        found = [await _answer(api, *request) for request in REQUESTS]
    return found, engine.invocations


async def _answer(api: Client, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    async with api.session.post(api.base + path, data=body, headers=headers) as response:
        return response.status, b"" if response.status == 200 else await response.read()


async def test_both_ways_answer_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    short = await answers()

    async def unusual(*_: object) -> None:
        return None

    monkeypatch.setattr(intake, "_read", unusual)
    assert short == await answers()
    assert {status for status, _ in short[0]} == {200, 400, 401, 403, 404, 415, 422}


async def test_usual_requests_take_the_short_way(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    read = intake._read

    async def watched(*arguments: Any) -> dict[str, Any] | None:
        values = await read(*arguments)
        taken.append(values is not None)
        return values

    monkeypatch.setattr(intake, "_read", watched)
    for path in (CHAT, RUNS):
        await api.post(path, json={"input": "hi", "stream": False})
    await api.post(CHAT, json={"input": "hi", "stream": False}, headers={"Idempotency-Key": "k"})
    assert taken == [True, True, False]
