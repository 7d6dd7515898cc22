"""A server whose model is a provider in this process, speaking OpenAI's wire format: a test holds the answers."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.provider import FakeProvider
from tests.support.server import Server, running

KEY = "sk-secret-0123456789abcdef"


@asynccontextmanager
async def provided(home: Path, **more: str) -> AsyncGenerator[tuple[FakeProvider, Server], None]:
    """Gives the provider and the server, which has a key for it."""
    async with FakeProvider() as provider:
        variables = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY, "BATON_MODEL": "openai:m"}
        async with running(home, **(variables | more)) as server:
            yield provider, server


def forget(provider: FakeProvider) -> None:
    """The provider has neither requests nor replies of an earlier test."""
    provider.requests.clear()
    provider._replies.clear()
