"""Every route of the document, walked with a stranger's key: what is somebody else's looks like what is not there."""

import json
import re
from collections.abc import Iterator
from itertools import product
from secrets import token_hex
from typing import Any

import pytest

from tests.e2e.api.conftest import CONTRACT, bearer
from tests.e2e.api.talk import Talk
from tests.support.contract import DOCUMENT
from tests.support.http import Client
from tests.support.server import Server

UNKNOWN_RUN = "run_0123456789abcdef_unknown"
BODIES: dict[str, dict[str, Any]] = {"/v1/agents/{agent}/sessions/{session}/runs": {"input": "hi", "stream": False}}
NAMELESS = {
    ("post", "/v1/chat"),
    ("get", "/v1/sessions"),
    ("post", "/v1/agents/{agent}/sessions"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/health"),
    ("get", "/"),
}
"""Routes whose path names nothing of anybody; their tests are elsewhere in this package."""
MAKING = {("post", "/v1/agents/{agent}/sessions/{session}/runs")}
"""Routes that make what they name, so that a stranger gets a session of its own."""


def routes() -> Iterator[tuple[str, str]]:
    for path, operations in json.loads(DOCUMENT.read_bytes())["paths"].items():
        yield from product(operations, [path])


NAMING = [route for route in routes() if route not in NAMELESS]


@pytest.mark.parametrize("stranger", ["bob-key", "alan-key"], ids=["tenant", "user"])
@pytest.mark.parametrize("route", NAMING, ids=" ".join)
async def test_a_stranger_gets_what_an_unknown_id_gets(
    guarded: Server, alice: Client, route: tuple[str, str], stranger: str
) -> None:
    method, path = route
    hers = Talk(alice)
    _, seen = await hers.say("/write a.txt secret")
    known = {"agent": "assistant", "session": hers.session, "run": seen.records[0]["run_id"]}
    unknown = {"agent": "assistant", "session": f"t{hers.session[1:]}", "run": UNKNOWN_RUN}
    assert set(re.findall(r"{(\w+)}", path)) <= known.keys(), "this route names something new: add it here"
    body = {"json": BODIES[path]} if path in BODIES else {}
    async with Client.of(guarded.url, bearer(stranger), CONTRACT) as api:
        found = await api.call(method.upper(), path.format_map(known), **body)
        absent = await api.call(method.upper(), path.format_map(unknown), **body)
        hers_still = await hers.said()
    assert len(hers_still) == 4
    if route in MAKING:
        assert (found.status, absent.status) == (200, 200)
        assert found.json["run_id"] != known["run"]
        return
    assert found.status == absent.status == 404
    renamed = found.body
    for name, other in known.items():
        renamed = renamed.replace(other.encode(), unknown[name].encode())
    assert renamed == absent.body
    volatile = {"date", "content-length"}
    assert {n: v for n, v in found.headers.items() if n.lower() not in volatile} == {
        n: v for n, v in absent.headers.items() if n.lower() not in volatile
    }


async def test_a_strangers_cursor_and_list_show_nothing(alice: Client, bob: Client) -> None:
    hers = [f"hers-{token_hex(8)}" for _ in range(3)]
    for name in hers:
        await alice.post("/v1/agents/assistant/sessions", json={"session_id": name})
    cursor = (await alice.get("/v1/sessions?limit=1")).json["next"]
    for query in ("limit=200", f"cursor={cursor}&limit=200"):
        found = {view["session_id"] for view in (await bob.get(f"/v1/sessions?{query}")).json["sessions"]}
        assert not found & set(hers)


async def test_a_strangers_idempotency_key_is_another_key(alice: Client, bob: Client) -> None:
    key = {"Idempotency-Key": "the-same"}
    made = [await api.post("/v1/chat", json={"input": "hi", "stream": False}, headers=key) for api in (alice, bob)]
    assert made[0].json["session_id"] != made[1].json["session_id"]
    assert made[0].json["run_id"] != made[1].json["run_id"]
