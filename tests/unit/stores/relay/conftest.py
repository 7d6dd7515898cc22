from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from tests.unit.stores.relay.media import Air, Relays, open_medium


@pytest.fixture(params=["air", "redis", "postgres"])
async def relays(request: pytest.FixtureRequest) -> AsyncGenerator[Relays, None]:
    """Replicas on each medium in turn."""
    async with AsyncExitStack() as stack:
        yield Relays(await open_medium(request.param, stack), stack)


@pytest.fixture(params=["redis", "postgres"])
async def real_relays(request: pytest.FixtureRequest) -> AsyncGenerator[Relays, None]:
    """Replicas on each real server in turn."""
    async with AsyncExitStack() as stack:
        yield Relays(await open_medium(request.param, stack), stack)


@pytest.fixture
async def air_relays() -> AsyncGenerator[tuple[Relays, Air], None]:
    """Replicas on a medium that a test can spoil."""
    async with AsyncExitStack() as stack:
        air = Air()
        yield Relays(air, stack), air
