"""Errors as problems: one table, and nothing of what happened inside."""

from collections.abc import Iterator

import pytest

from app.api.errors import KINDS, problem
from app.core.errors import BatonError, StoreCorrupt, StoreUnavailable, ToolError
from tests.api.conftest import client_of
from tests.api.fake_engine import FakeEngine
from tests.support.http import Client

INTERNAL = {
    "internal",
    "claim_lost",
    "stale_claim",
    "log_regressed",
    "unseen",
    "store_corrupt",
    "model_error",
    "tool_error",
    "config_error",
}
"""Codes that no client can do anything about."""


def _tree(kind: type[BatonError]) -> Iterator[type[BatonError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


@pytest.mark.parametrize("kind", list(_tree(BatonError)), ids=lambda kind: kind.__name__)
def test_every_error_has_its_status(kind: type[BatonError]) -> None:
    """A new error is either in the table or named above."""
    assert (kind.code in KINDS) is (kind.code not in INTERNAL or kind.code == "internal")


@pytest.mark.parametrize("code", KINDS)
def test_a_problem_says_its_code(code: str) -> None:
    response = problem(code, "why")
    assert response.status_code == KINDS[code].status
    assert f'"urn:baton:problem:{code}"'.encode() in bytes(response.body)
    assert (b'"detail":"why"' in bytes(response.body)) is (response.status_code < 500)
    assert ("Retry-After" in response.headers) is (response.status_code in {429, 503})


@pytest.mark.parametrize(
    "fault", [RuntimeError("secret"), StoreCorrupt("secret"), ToolError("secret"), StoreUnavailable("secret")]
)
async def test_trap_raw_exception_text_sent_to_clients(
    engine: FakeEngine, api: Client, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """What went wrong inside is in the log, and not in the answer."""
    engine.fault = fault
    answer = await api.post("/v1/chat", json={"input": "hi"})
    assert answer.status in {500, 503}
    assert b"secret" not in answer.body
    assert "secret" in caplog.text
    assert ("Traceback" in caplog.text) is (answer.status == 500), "a store that is away is not a line per frame"


async def test_the_caller_must_be_known(api: Client) -> None:
    for headers in ({"Authorization": "Bearer mallory"}, {"Authorization": ""}):
        answer = await api.get("/v1/sessions", headers=headers)
        assert (answer.status, answer.code) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await api.get("/livez", headers={"Authorization": ""})).status == 200


async def test_two_proofs_are_none(api: Client) -> None:
    """A repeated header is joined, so that no proxy and server can read different ones."""
    pair = [("Authorization", "Bearer alice"), ("Authorization", "Bearer bob")]
    async with api.session.get(api.base + "/v1/sessions", headers=pair) as response:
        assert response.status == 401


async def test_scopes_are_kept(api: Client) -> None:
    reader, nobody = {"Authorization": "Bearer reader"}, {"Authorization": "Bearer nobody"}
    assert (await api.get("/v1/sessions", headers=reader)).status == 200
    assert (await api.get("/v1/sessions", headers=nobody)).code == "forbidden"
    assert (await api.post("/v1/chat", json={"input": "hi"}, headers=reader)).code == "forbidden"
    assert (await api.delete("/v1/agents/assistant/sessions/s", headers=reader)).code == "forbidden"


async def test_no_page_may_call_unless_its_origin_is_named(engine: FakeEngine) -> None:
    origin = {"Origin": "https://app.example"}
    async with client_of(engine) as api:
        answer = await api.get("/v1/sessions", headers=origin)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    async with client_of(engine, origins=["https://app.example"]) as api:
        answer = await api.get("/v1/sessions", headers=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert {"X-Session-Id", "X-Run-Id"} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))
        other = await api.get("/v1/sessions", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in other.headers
        engine.fault = RuntimeError("boom")
        broken = await api.post("/v1/chat", json={"input": "hi"}, headers=origin)
        assert (broken.status, broken.headers["Access-Control-Allow-Origin"]) == (500, "https://app.example")


async def test_json_is_nobodys_page(api: Client) -> None:
    answer = await api.get("/v1/sessions")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
