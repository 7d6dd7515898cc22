from collections.abc import AsyncGenerator

import pytest

from app.core.clock import SystemClock
from app.stores.bundle import Stores
from app.stores.memory.stores import open_memory


@pytest.fixture
async def stores() -> AsyncGenerator[Stores, None]:
    """Gives stores in memory."""
    async with open_memory(SystemClock()) as opened:
        yield opened
