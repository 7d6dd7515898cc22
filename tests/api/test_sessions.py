"""Sessions, their messages, and who sees them."""

from urllib.parse import quote

import pytest

from tests.api.conftest import BOB
from tests.support.http import Client

SESSIONS = "/v1/agents/assistant/sessions"


async def test_a_session_lives_and_dies(api: Client) -> None:
    made = await api.post(SESSIONS, json={"session_id": "s1", "title": "Plans", "metadata": {"a": "b"}})
    assert (made.status, made.json["title"]) == (201, "Plans")
    path = made.headers["Location"]
    assert (await api.get(path)).json == made.json
    assert (await api.delete(path)).status == 204
    assert (await api.get(path)).code == "session_not_found"
    assert (await api.delete(path)).status == 404


async def test_a_session_without_a_body_gets_an_id(api: Client) -> None:
    made = await api.post(SESSIONS)
    assert made.status == 201
    assert made.json["session_id"]


async def test_two_creates_of_one_id_are_a_conflict(api: Client) -> None:
    await api.post(SESSIONS, json={"session_id": "s1"})
    answer = await api.post(SESSIONS, json={"session_id": "s1"})
    assert (answer.status, answer.code) == (409, "session_exists")


@pytest.mark.parametrize(
    "name", ["a b", "été", "会話", "🜁", "a%41", "x\u202ey", "\u00a0", "a?b#c", "...", "\ufffd", "-" * 128]
)
async def test_ids_may_be_any_unicode(api: Client, name: str) -> None:
    made = await api.post(SESSIONS, json={"session_id": name})
    assert made.json["session_id"] == name
    path = f"{SESSIONS}/{quote(name, safe='')}"
    assert made.headers["Location"] == path
    assert (await api.get(path)).json == made.json
    async with api.stream("POST", f"{path}/runs", json={"input": "hi"}) as (answer, _):
        assert answer.headers["X-Session-Id"] == quote(name, safe="")


async def test_sessions_are_listed_in_pages(api: Client) -> None:
    for number in range(5):
        await api.post(SESSIONS, json={"session_id": f"s{number}"})
    seen: list[str] = []
    page = await api.get("/v1/sessions?limit=2&agent=assistant")
    while True:
        seen += [view["session_id"] for view in page.json["sessions"]]
        if "next" not in page.json:
            break
        page = await api.get(f"/v1/sessions?limit=2&cursor={page.json['next']}")
    assert sorted(seen) == [f"s{number}" for number in range(5)]


async def test_messages_are_read_in_pages(api: Client) -> None:
    for _ in range(3):
        await api.post(f"{SESSIONS}/s1/runs", json={"input": "hi", "stream": False})
    page = await api.get(f"{SESSIONS}/s1/messages?limit=4")
    rest = await api.get(f"{SESSIONS}/s1/messages?after={page.json['next']}")
    roles = [view["message"]["role"] for view in page.json["messages"] + rest.json["messages"]]
    assert roles == ["user", "assistant"] * 3


async def test_others_see_nothing_of_it(api: Client) -> None:
    run = await api.post(f"{SESSIONS}/s1/runs", json={"input": "hi", "background": True})
    for path in (f"{SESSIONS}/s1", f"{SESSIONS}/s1/messages", run.headers["Location"]):
        assert (await api.get(path)).status == 200
        assert (await api.get(path, headers=BOB)).status == 404
        assert (await api.get(f"{path}/events", headers=BOB)).status == 404
    assert (await api.get("/v1/sessions", headers=BOB)).json == {"sessions": []}


async def test_trap_tenant_taken_from_body(api: Client) -> None:
    """The tenant and the user come from authentication; a body that names them is refused."""
    for field in ("tenant", "user", "user_id", "tenant_id"):
        answer = await api.post("/v1/chat", json={"input": "hi", field: "t2"})
        assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["body", field])
    answer = await api.post("/v1/chat?tenant=t2", json={"input": "hi"})
    assert answer.status == 422
