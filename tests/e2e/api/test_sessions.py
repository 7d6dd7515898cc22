"""Sessions over HTTP: made, listed, followed, deleted, and called anything."""

import asyncio
from urllib.parse import quote

import pytest

from tests.e2e.api.conftest import CONTRACT, bearer
from tests.e2e.api.talk import Talk, text_of
from tests.support.http import Client
from tests.support.server import Server

SESSIONS = "/v1/agents/assistant/sessions"

NAMES = [
    "🜁🧑‍🚀",
    "שלום עולם",
    "\u202eabc",
    "e\u0301\u0302\u0303" * 20,
    "été",
    "e\u0301te\u0301",
    "100%25",
    "%2F",
    "%",
    "a b  c",
    " ",
    "...",
    ".hidden",
    "a..b",
    "-" * 128,
    "会" * 128,
    "\U0010ffff",
    "\ufeff",
    "\u2028",
    'a\\b:*?"<>|',
    "con",
    "a;b&c=d#e?f",
    "' OR 1=1 --",
    "{{7*7}}",
]


async def test_a_session_lives_and_dies(api: Client, talk: Talk) -> None:
    made = await api.post(
        SESSIONS, json={"session_id": talk.session, "title": "Plans", "metadata": {"colour": "green"}}
    )
    assert (made.status, made.headers["Location"]) == (201, talk.path)
    assert (made.json["title"], made.json["status"], made.json["seq"]) == ("Plans", "idle", 1)
    assert (await api.get(talk.path)).json == made.json
    await talk.say("/write a.txt x")
    assert (await api.get(talk.path)).json["title"] == "Plans"
    assert (await api.delete(talk.path)).status == 204
    for path in (talk.path, f"{talk.path}/messages", f"{talk.path}/events"):
        assert (await api.get(path)).code == "session_not_found"
    assert (await api.delete(talk.path)).code == "session_not_found"


async def test_a_deleted_session_made_anew_is_empty(talk: Talk) -> None:
    await talk.say("/write secret.txt x")
    run = (await talk.messages())[0]["run_id"]
    await talk.api.delete(talk.path)
    assert (await talk.api.get(f"/v1/runs/{run}")).code == "run_not_found"
    assert "secret" not in (await talk.result("/ls"))["output"]
    assert [role for role, _ in await talk.said()] == ["user", "assistant", "tool", "assistant"]


async def test_two_creates_of_one_id_are_a_conflict(api: Client, talk: Talk) -> None:
    assert (await api.post(SESSIONS, json={"session_id": talk.session})).status == 201
    again = await api.post(SESSIONS, json={"session_id": talk.session})
    assert (again.status, again.code) == (409, "session_exists")


async def test_of_many_creates_at_once_one_succeeds(api: Client, talk: Talk) -> None:
    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(api.post(SESSIONS, json={"session_id": talk.session})) for _ in range(16)]
    statuses = sorted(post.result().status for post in posts)
    assert statuses == [201] + [409] * 15


async def test_a_chat_makes_the_session_that_it_names(api: Client, talk: Talk) -> None:
    body = {"input": "What is  the\nplan?", "session_id": talk.session, "stream": False}
    assert (await api.post("/v1/chat", json=body)).json["session_id"] == talk.session
    assert (await api.get(talk.path)).json["title"] == "What is the plan?"
    assert (await api.post(SESSIONS, json={"session_id": talk.session})).code == "session_exists"


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_ids_may_be_any_unicode(server: Server, name: str) -> None:
    async with Client.of(server.url, contract=CONTRACT) as api:
        talk = Talk(api, name)
        made = await api.post(SESSIONS, json={"session_id": name})
        assert (made.status, made.json["session_id"], made.headers["Location"]) == (201, name, talk.path)
        body = {"input": "/write a.txt x\n/ls", "session_id": name, "stream": False}
        chat = await api.post("/v1/chat", json=body)
        assert (chat.status, chat.json["session_id"]) == (200, name)
        assert chat.headers["X-Session-Id"] == quote(name, safe="")
        assert (await api.get(talk.path)).json["session_id"] == name
        assert text_of((await talk.messages())[0]["message"]) == "/write a.txt x\n/ls"
        assert (await api.delete(talk.path)).status == 204
        assert (await api.get(talk.path)).code == "session_not_found"


async def test_ids_that_look_alike_are_different(server: Server) -> None:
    async with Client.of(server.url, contract=CONTRACT) as api:
        talks = [Talk(api, name + "-alike") for name in ("é", "e\u0301", "E\u0301", "%C3%A9")]
        for number, talk in enumerate(talks):
            await talk.say(f"/write a.txt {number}")
        for number, talk in enumerate(talks):
            assert (await talk.result("/read a.txt"))["output"].endswith(str(number))


async def test_sessions_are_listed_in_pages_newest_first(guarded: Server) -> None:
    async with Client.of(guarded.url, bearer("lister-key"), CONTRACT) as api:
        names = [f"n{number}-🜁" for number in range(7)]
        for name in names:
            await api.post(SESSIONS, json={"session_id": name})
        seen: list[str] = []
        query: str | None = "limit=3"
        while query is not None:
            page = (await api.get(f"/v1/sessions?{query}")).json
            seen += [view["session_id"] for view in page["sessions"]]
            query = f"limit=3&agent=assistant&cursor={page['next']}" if "next" in page else None
            await api.post(SESSIONS)  # what is made meanwhile is newer, and does not shift the pages
        assert seen == names[::-1]
        assert (await api.get("/v1/sessions?agent=nobody")).json == {"sessions": []}
