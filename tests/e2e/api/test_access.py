"""Who may call: keys, the loopback's Host and Origin checks, and pages of other origins."""

import pytest

from tests.e2e.api.conftest import CONTRACT, ORIGIN, bearer
from tests.e2e.api.talk import Talk
from tests.support.http import Client
from tests.support.server import Server

OPEN = ("/livez", "/readyz", "/health", "/openapi.json", "/")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::2]", ""])
async def test_trap_dns_rebinding(api: Client, host: str) -> None:
    """A page whose name was made to point at this machine reaches nothing: its Host betrays it."""
    for method, path in (("GET", "/v1/sessions"), ("POST", "/v1/chat")):
        body = {"json": {"input": "/write a.txt x"}} if method == "POST" else {}
        answer = await api.call(method, path, headers={"Host": host}, **body)
        assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
async def test_trap_any_origin_echoed_with_credentials(api: Client, headers: dict[str, str]) -> None:
    """A page of another origin is refused, and no answer tells its browser otherwise."""
    answer = await api.post("/v1/chat", json={"input": "/write a.txt x"}, headers=headers)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    preflight = await api.call("OPTIONS", "/v1/chat", headers={**headers, "Access-Control-Request-Method": "POST"})
    assert preflight.status == 405


async def test_this_machines_names_and_own_page_are_served(server: Server, api: Client) -> None:
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", f"LOCALHOST:{server.port}", "[::1]"):
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert (await api.get("/v1/sessions", headers=headers)).status == 200


async def test_pages_of_a_configured_origin_may_call(alice: Client) -> None:
    answer = await alice.get("/v1/sessions", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in answer.headers
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {name.strip() for name in exposed.split(",")} >= {"X-Session-Id", "X-Run-Id", "Location", "Retry-After"}
    other = await alice.get("/v1/sessions", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


async def test_a_preflight_needs_no_key(guarded: Server) -> None:
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, last-event-id",
    }
    async with Client.of(guarded.url, contract=CONTRACT) as api:
        async with api.session.options(f"{guarded.url}/v1/chat", headers=asks) as answer:
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        async with api.session.options(
            f"{guarded.url}/v1/chat", headers={**asks, "Origin": "https://evil.example"}
        ) as no:
            assert no.status == 400
            assert "Access-Control-Allow-Origin" not in no.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "alice-key"},
        {"Authorization": "Basic YWxpY2Uta2V5Og=="},
        {"X-API-Key": "wrong"},
        {"X-API-Key": "k" * 5000},
        {"Authorization": "Bearer wrong", "X-API-Key": "alice-key"},
    ],
    ids=str,
)
async def test_without_a_key_nothing_is_served(guarded: Server, headers: dict[str, str]) -> None:
    async with Client.of(guarded.url, headers, CONTRACT) as api:
        for method, path, body in (
            ("GET", "/v1/sessions", None),
            ("POST", "/v1/chat", {"input": "hi"}),
            ("POST", "/v1/chat", {"not": "valid"}),
            ("GET", "/v1/runs/run_0123456789abcdef_abc/events", None),
        ):
            answer = await api.call(method, path, json=body)
            assert (answer.status, answer.code) == (401, "unauthenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for path in OPEN:
            async with api.session.get(api.base + path) as found:
                assert found.status == 200


async def test_a_key_may_be_in_either_header(guarded: Server) -> None:
    for headers in (bearer("alice-key"), {"Authorization": "bearer alice-key"}, {"X-API-Key": "alice-key"}):
        async with Client.of(guarded.url, headers, CONTRACT) as api:
            assert (await api.get("/v1/sessions")).status == 200


async def test_a_readers_key_changes_nothing(guarded: Server, alice: Client) -> None:
    mine = Talk(alice)
    await mine.say("hi")
    async with Client.of(guarded.url, bearer("reader-key"), CONTRACT) as api:
        talk = Talk(api, mine.session)
        assert await talk.said() == await mine.said()
        for refused in (
            await talk.post("hi"),
            await api.delete(talk.path),
            await api.post("/v1/agents/assistant/sessions"),
        ):
            assert (refused.status, refused.code) == (403, "forbidden")


async def test_trap_tenant_or_user_taken_from_the_body(alice: Client) -> None:
    """Who asks follows from the key alone: a body or a query that names another is refused."""
    for more in ({"tenant": "globex"}, {"user": "bob"}, {"user_id": "bob"}):
        answer = await alice.post("/v1/chat", json={"input": "hi", **more})
        assert (answer.status, answer.code) == (422, "invalid_input")
    assert (await alice.get("/v1/sessions?tenant=globex")).status == 422
    forged = {"X-Tenant": "globex", "X-User-Id": "bob", "X-Forwarded-User": "bob"}
    assert (await alice.post("/v1/chat", json={"input": "hi", "stream": False}, headers=forged)).status == 200


async def test_trap_two_users_with_equal_session_ids_share_a_workspace(guarded: Server) -> None:
    """Equal session ids of two tenants, or of two users, are different sessions with different files."""
    for number, key in enumerate(("alice-key", "alan-key", "bob-key")):
        async with Client.of(guarded.url, bearer(key), CONTRACT) as api:
            talk = Talk(api, "shared")
            assert (await api.get(talk.path)).code == "session_not_found"
            assert "file" not in (await talk.result("/ls"))["output"].split("says:")[1].replace("no files", "")
            await talk.say(f"/write file-{number}.txt secret")
            assert len(await talk.said()) == 8
