"""One fleet per store for the tests that do not harm it; the others start their own."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.e2e.replicas.fleet import Fleet, fleet
from tests.support.services.postgres import postgres
from tests.support.services.redis import shared_server


@pytest_asyncio.fixture(scope="package", loop_scope="package", params=["redis", "postgres"])
async def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Fleet, None]:
    """Two replicas that nothing happens to."""
    store = shared_server().url(shared_server().fresh()) if request.param == "redis" else postgres().database().url
    async with fleet(tmp_path_factory.mktemp(request.param), store) as started:
        yield started
