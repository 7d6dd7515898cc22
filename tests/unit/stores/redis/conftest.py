from collections.abc import AsyncGenerator

import pytest

from app.stores.redis.connection import Connection, open_client
from tests.support.services.redis import RedisServer, shared_server


@pytest.fixture
def server() -> RedisServer:
    return shared_server()


@pytest.fixture
async def redis(server: RedisServer) -> AsyncGenerator[Connection, None]:
    """A connection to a database that is the test's own."""
    async with open_client(server.url(server.fresh())) as connection:
        yield connection
