from collections.abc import AsyncIterator

import aiohttp
import pytest

from app.llm.openai import OpenAIModel
from tests.support.provider import FakeProvider
from tests.unit.llm.requests import InstantClock


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as provider:
        yield provider


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def model(session: aiohttp.ClientSession, provider: FakeProvider) -> OpenAIModel:
    return OpenAIModel(session, provider.base_url, lambda: "sk-secret", first_byte=5.0, idle=5.0)


@pytest.fixture
def clock() -> InstantClock:
    return InstantClock()
