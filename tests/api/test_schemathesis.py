"""Generated requests, good and bad, against the document: no 500, and nothing that the document does not say."""

import asyncio
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.specs.openapi import checks

from app.api.application import create_api
from app.core.ids import AgentId, SessionId
from app.core.messages import TextPart
from app.engine.views import Invocation
from tests.api.conftest import ALICE, FakeAuthenticator
from tests.api.fake_engine import FakeEngine

app = create_api(FakeEngine(), FakeAuthenticator())
ACCEPTABLE = ["2xx", "400", "401", "403", "404", "409", "5xx"]
"""For requests that fit the schema. 400: cursors are opaque, so the schema cannot say which ones were given out."""
CONFIG = cast("Any", schemathesis.Config).from_dict(
    {"checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTABLE}}}
)
NEGATIVE = cast("Any", checks).negative_data_rejection
schema: Any = schemathesis.openapi.from_asgi("/openapi.json", app, config=CONFIG)


def fresh_engine() -> tuple[FakeEngine, dict[str, str]]:
    """Gives an engine that knows nothing of earlier requests, and the ids of what is in it."""
    engine = FakeEngine(endless=False)
    who = FakeAuthenticator.people["Bearer alice"]
    text = (TextPart(text="hi"),)
    invocation = Invocation(agent=AgentId("assistant"), session=SessionId("s1"), input=text)
    accepted = asyncio.run(engine.submit(who, invocation))
    return engine, {"agent": "assistant", "session": "s1", "run": accepted.run_id}


@pytest.mark.parametrize("real", [False, True], ids=["any", "real"])
@schema.parametrize()
@settings(max_examples=25, deadline=None, database=None)
def test_generated_requests(case: Any, real: bool) -> None:
    """Once as generated, once with ids of things that are there: that makes some bad requests good."""
    app.state.engine, ids = fresh_engine()
    if real:
        case.path_parameters = {name: ids[name] for name in cast("dict[str, str]", case.path_parameters or {})}
    case.call_and_validate(headers=ALICE, excluded_checks=[NEGATIVE] if real else [])
