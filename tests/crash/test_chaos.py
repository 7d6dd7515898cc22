"""Many clients on a server that is killed again and again: every run ends, every client sees all of it, once."""

import asyncio
import json
from pathlib import Path
from random import Random

import pytest
from aiohttp import ClientError, ClientResponse, ClientSession, TCPConnector

from tests.support.server import Server, running
from tests.support.viewer import Viewer

SCRIPT = Path(__file__).parent / "kill.yaml"
CLIENTS = 60
KILLS = 4
SECONDS = 90
TEXTS = ("tell me a story", "write a file")


class Client:
    """Sends one input, under one key, and follows it over any number of deaths until its run has finished."""

    def __init__(self, number: int, chance: Random) -> None:
        self.seen = Viewer()
        self.session = f"s{number}"
        self._run: str | None = None
        self._text = TEXTS[number % len(TEXTS)]
        self._chance = chance

    async def talk(self, server: Server, http: ClientSession) -> None:
        while not self.seen.of_type("run.finished"):
            self.seen.reconnect()
            try:
                await (self._post(server, http) if self._run is None else self._follow(server, http, self._run))
            except ClientError:
                await asyncio.sleep(self._chance.uniform(0.01, 0.2))

    async def _post(self, server: Server, http: ClientSession) -> None:
        body = {"input": self._text, "session_id": self.session}
        headers = {"Idempotency-Key": self.session}
        async with http.post(f"{server.url}/v1/chat", json=body, headers=headers) as response:
            await self._read(response)

    async def _follow(self, server: Server, http: ClientSession, run: str) -> None:
        headers = {"Last-Event-ID": self.seen.last_id} if self.seen.last_id else {}
        async with http.get(f"{server.url}/v1/runs/{run}/events", headers=headers) as response:
            await self._read(response)

    async def _read(self, response: ClientResponse) -> None:
        assert response.status == 200, await response.text()
        self._run = response.headers["X-Run-Id"]
        rest = b""
        async for chunk in response.content.iter_any():
            whole, _, rest = (rest + chunk).rpartition(b"\n\n")
            if whole:
                self.seen.feed(whole + b"\n\n")


async def kill_again_and_again(server: Server, chance: Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.4, 1.0))
        server.kill()
        await server.start()


@pytest.mark.timeout(SECONDS + 30)
async def test_nothing_lost_nothing_doubled(tmp_path: Path) -> None:
    chance = Random(20261121)
    clients = [Client(number, chance) for number in range(CLIENTS)]
    environment = {"BATON_MODEL": "scripted:kill", "BATON_SCRIPT": str(SCRIPT), "BATON_MAX_RUNS": "20"}
    async with running(tmp_path, **environment) as server, ClientSession(connector=TCPConnector(limit=0)) as http:
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            group.create_task(kill_again_and_again(server, chance))
            for client in clients:
                group.create_task(client.talk(server, http))
        assert {client.seen.status for client in clients} == {"completed"}
        assert any(client.seen.of_type("run.resumed") for client in clients), "no kill met a run"
        for client in clients:
            await check_messages(server, http, client)
    notes = [path.read_text() for path in server.data_dir.glob("workspaces/**/note.txt")]
    assert notes == ["kept"] * (CLIENTS // len(TEXTS))


async def check_messages(server: Server, http: ClientSession, client: Client) -> None:
    """The session holds the input once, and an answer to it."""
    url = f"{server.url}/v1/agents/assistant/sessions/{client.session}/messages"
    async with http.get(url) as response:
        roles = [view["message"]["role"] for view in json.loads(await response.read())["messages"]]
    assert roles.count("user") == 1
    assert roles[-1] == "assistant"
