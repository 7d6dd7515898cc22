"""One real server for most of this package, one with API keys, and clients that check every answer."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.api.talk import Talk
from tests.support.contract import Contract
from tests.support.http import Client
from tests.support.server import Server, running

CONTRACT = Contract.load()
ORIGIN = "https://chat.example"
KEYS = {
    "alice-key": "tenant: acme, user: alice",
    "alan-key": "tenant: acme, user: alan",
    "bob-key": "tenant: globex, user: alice",
    "lister-key": "tenant: acme, user: lister",
    "reader-key": "tenant: acme, user: alice, scopes: [read]",
}
"""`bob` has alice's name, at another tenant."""


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    """A server as `make run` starts it: no keys, the offline model, the loopback only."""
    async with running(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    """A server with API keys, and one origin whose pages may call."""
    home = tmp_path_factory.mktemp("guarded")
    keys = write_keys(home)
    async with running(home, BATON_KEYS_FILE=str(keys), BATON_CORS_ORIGINS=ORIGIN) as started:
        yield started


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Client]:
    async with Client.of(server.url, contract=CONTRACT) as client:
        yield client


@pytest.fixture
def talk(api: Client) -> Talk:
    """A session of this test's own."""
    return Talk(api)


@pytest.fixture
async def alice(guarded: Server) -> AsyncIterator[Client]:
    async with Client.of(guarded.url, bearer("alice-key"), CONTRACT) as client:
        yield client


@pytest.fixture
async def bob(guarded: Server) -> AsyncIterator[Client]:
    async with Client.of(guarded.url, bearer("bob-key"), CONTRACT) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    """Gives the header that proves who one is."""
    return {"Authorization": f"Bearer {key}"}


def write_keys(home: Path) -> Path:
    """Gives the file of all the keys."""
    lines = [f"- {{sha256: {hashlib.sha256(key.encode()).hexdigest()}, {who}}}" for key, who in KEYS.items()]
    path = home / "keys.yaml"
    path.write_text("\n".join(lines))
    return path
