"""Generated requests, good and bad, against the real server: no 500, and nothing that its document does not say."""

import json
from collections.abc import Iterator
from typing import Any, cast
from urllib.request import Request, urlopen

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks

from tests.e2e.api.conftest import CONTRACT, bearer
from tests.support.contract import DOCUMENT
from tests.support.server import Server

ENDLESS = "/v1/agents/{agent}/sessions/{session}/events"
"""Its answer never ends by itself."""

ACCEPTABLE = ["2xx", "400", "404", "409", "429", "5xx"]
"""For requests that fit the schema. 400: cursors are opaque, so the schema cannot say which ones were given out."""
CONFIG = cast("Any", schemathesis.Config).from_dict(
    {"checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTABLE}}}
)
NEGATIVE = cast("Any", checks).negative_data_rejection
POSITIVE = cast("Any", checks).positive_data_acceptance
KEY = bearer("alice-key")

schema: Any = cast("Any", schemathesis.openapi).from_path(str(DOCUMENT), config=CONFIG).exclude(path=ENDLESS)


@pytest.fixture(scope="module")
def place(guarded: Server) -> Iterator[tuple[str, dict[str, str]]]:
    """Gives the server's address, and the ids of a run in it that has finished."""
    body = {"input": "hi", "session_id": "generated", "stream": False}
    with _post(f"{guarded.url}/v1/chat", body) as response:
        run = json.loads(response.read())["run_id"]
    yield guarded.url, {"agent": "assistant", "session": "generated", "run": run}
    assert '"level": "error"' not in guarded.stderr


@pytest.mark.parametrize("real", [False, True], ids=["any", "real"])
@schema.parametrize()
@settings(max_examples=4, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_generated_requests(place: tuple[str, dict[str, str]], case: Any, real: bool) -> None:
    """Once as generated, once with ids of things that are there: that makes some bad requests good."""
    url, ids = place
    if real:
        case.path_parameters = {name: ids[name] for name in cast("dict[str, str]", case.path_parameters or {})}
    response = case.call(base_url=url, headers=KEY)
    excluded = [NEGATIVE] if real else []
    if b'"code":"idempotency_mismatch"' in response.content:  # the schema cannot say which keys were used before
        excluded.append(POSITIVE)
    case.validate_response(response, headers=KEY, excluded_checks=excluded)
    media = response.headers.get("content-type", [""])[0]
    path = response.request.url.removeprefix(url).partition("?")[0]
    CONTRACT.check(case.method, path, response.status_code, media, response.content)


def _post(url: str, body: dict[str, Any]) -> Any:
    return urlopen(Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"} | KEY), timeout=20)
