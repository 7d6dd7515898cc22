"""Fixtures of the fault tests."""

from collections.abc import AsyncGenerator, Callable

import pytest

from tests.faults.fragile import Fragile, fragile_postgres, fragile_redis
from tests.faults.places import Place, shared_postgres, shared_redis


@pytest.fixture(params=[shared_redis, shared_postgres], ids=["redis", "postgres"])
def make(request: pytest.FixtureRequest) -> Callable[[], Place]:
    """Gives what makes places on a server that all tests of this process share."""
    return request.param


@pytest.fixture(params=[fragile_redis, fragile_postgres], ids=["redis", "postgres"])
async def fragile(request: pytest.FixtureRequest) -> AsyncGenerator[Fragile, None]:
    """Gives a place that the test may break."""
    async with request.param() as place:
        yield place
