"""The application around a fake engine, served for real."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from app.api.application import create_api
from app.auth.base import Principal
from app.core.errors import Unauthenticated
from app.core.ids import TenantId, UserId
from tests.api.fake_engine import FakeEngine
from tests.support.contract import Contract
from tests.support.http import Client, serving

ALICE, BOB = {"Authorization": "Bearer alice"}, {"Authorization": "Bearer bob"}


class FakeAuthenticator:
    """Knows alice, bob and a reader, by their names."""

    people: ClassVar = {
        "Bearer alice": Principal(TenantId("t1"), UserId("alice")),
        "Bearer bob": Principal(TenantId("t2"), UserId("bob")),
        "Bearer reader": Principal(TenantId("t1"), UserId("alice"), frozenset({"read"})),
        "Bearer nobody": Principal(TenantId("t1"), UserId("alice"), frozenset()),
    }

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        found = self.people.get(headers.get("authorization", ""))
        if found is None:
            raise Unauthenticated("say who you are")
        return found


@asynccontextmanager
async def client_of(engine: FakeEngine, **limits: Any) -> AsyncGenerator[Client, None]:
    app = create_api(engine, FakeAuthenticator(), **limits)
    async with serving(app) as base, Client.of(base, ALICE, CONTRACT) as client:
        yield client


CONTRACT = Contract.load()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def api(engine: FakeEngine) -> AsyncIterator[Client]:
    async with client_of(engine) as client:
        yield client


@pytest.fixture
def busy() -> FakeEngine:
    """An engine whose runs go on until the test ends them."""
    return FakeEngine(hold=True)


@pytest.fixture
async def busy_api(busy: FakeEngine) -> AsyncIterator[Client]:
    async with client_of(busy) as client:
        yield client
