"""A database of the test's own, and the adapter over it."""

from collections.abc import AsyncGenerator

import pytest

from app.stores.postgres.database import Database, open_database
from tests.support.services.postgres import PostgresDatabase, postgres


@pytest.fixture
def place() -> PostgresDatabase:
    return postgres().database()


@pytest.fixture
async def database(place: PostgresDatabase) -> AsyncGenerator[Database, None]:
    async with open_database(place.url, pool=4) as opened:
        yield opened
