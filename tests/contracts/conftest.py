"""Every contract test runs once per backend."""

from collections.abc import AsyncGenerator

import pytest

from app.stores.bundle import Stores
from app.testing.clock import ManualClock
from tests.contracts.backends import BACKENDS, DETOURS, Backend


@pytest.fixture(params=(*BACKENDS, *DETOURS), ids=lambda kind: kind.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def stores(backend: Backend, clock: ManualClock) -> AsyncGenerator[Stores, None]:
    async with backend.open(clock) as opened:
        yield opened
