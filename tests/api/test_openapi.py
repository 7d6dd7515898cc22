"""The committed document: it is the application's, it is valid, and it knows every event and error."""

import json
from typing import Any, get_args

import jsonschema
import pytest

from app.api.application import create_api
from app.api.errors import KINDS
from app.core.records import AnyRecord
from tests.api.conftest import FakeAuthenticator
from tests.api.fake_engine import FakeEngine
from tests.support.contract import DOCUMENT, BrokenContract, Contract
from tests.support.http import Client

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return create_api(FakeEngine(), FakeAuthenticator()).openapi()


def operations(document: Json) -> list[tuple[str, str, Json]]:
    return [(method, path, op) for path, ops in document["paths"].items() for method, op in ops.items()]


def test_the_committed_document_is_the_applications(document: Json) -> None:
    """If not: `make openapi`, and look at the difference."""
    assert json.loads(DOCUMENT.read_bytes()) == document


def test_every_reference_leads_somewhere(document: Json) -> None:
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= set(document["components"]["schemas"])


def test_every_schema_is_one(document: Json) -> None:
    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_event_is_described(document: Json) -> None:
    records = {str(kind.__struct_config__.tag) for kind in get_args(AnyRecord)}
    assert set(Contract(document).events) == records | {"delta", "item.snapshot", "gap", "reset"}


def test_every_error_is_a_problem(document: Json) -> None:
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (path, status)


def test_every_code_is_documented_where_it_can_come(document: Json) -> None:
    text = json.dumps(document)
    unrouted = {"not_found", "method_not_allowed", "conflict", "head_moved", "record_too_large", "blob_not_found"}
    unrouted |= {"limit_reached", "unavailable", "replica_dead"}
    assert {code for code in KINDS if f"`{code}`" not in text} == unrouted


async def test_the_document_is_served(api: Client, document: Json) -> None:
    async with api.session.get(api.base + "/openapi.json") as response:
        assert await response.json() == document


def test_the_judge_can_say_no(document: Json) -> None:
    judge = Contract(document)
    with pytest.raises(BrokenContract, match="may not answer 418"):
        judge.check("GET", "/livez", 418, "application/json", b"{}")
    with pytest.raises(BrokenContract, match="unexpected"):
        judge.check("GET", "/livez", 200, "application/json", b'{"status":"ok","version":"1","more":1}')
    with pytest.raises(BrokenContract, match="required"):
        judge.check_event("delta", {"text": "x"})
