"""The real server, killed with SIGKILL in the middle of things and started again: its clients miss nothing."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from tests.support.server import Server, running
from tests.support.viewer import Viewer

SCRIPT = Path(__file__).parent / "kill.yaml"
SECONDS = 20


@asynccontextmanager
async def scripted(home: Path, **more: str) -> AsyncGenerator[Server, None]:
    """Gives a server whose model plays the script."""
    async with running(home, BATON_MODEL="scripted:kill", BATON_SCRIPT=str(SCRIPT), **more) as server:
        yield server


class Client:
    """Talks to one run as a browser does: posts once, then follows by the last id, whatever happens in between."""

    def __init__(self, server: Server, session: ClientSession, text: str) -> None:
        self.seen = Viewer()
        self.run = ""
        self._server = server
        self._session = session
        self._text = text

    async def post(self, reads: int) -> None:
        """Sends the input and reads that many pieces of the answer's stream, if it lasts so long."""
        body = {"input": self._text, "session_id": "s1"}
        async with self._session.post(
            f"{self._server.url}/v1/chat", json=body, headers={"Idempotency-Key": self._text.replace(" ", "-")}
        ) as response:
            assert response.status == 200
            self.run = response.headers["X-Run-Id"]
            await self._read(response.content.iter_any(), reads)

    async def follow(self, reads: int = 1_000_000) -> None:
        """Reconnects with the last id, and reads on."""
        self.seen.reconnect()
        headers = {"Last-Event-ID": self.seen.last_id} if self.seen.last_id else {}
        async with self._session.get(f"{self._server.url}/v1/runs/{self.run}/events", headers=headers) as response:
            assert response.status == 200
            await self._read(response.content.iter_any(), reads)

    async def _read(self, chunks: Any, reads: int) -> None:
        rest = b""
        try:
            async for chunk in chunks:
                whole, _, rest = (rest + chunk).rpartition(b"\n\n")
                if whole:
                    self.seen.feed(whole + b"\n\n")
                reads -= 1
                if reads <= 0:
                    return
        except ClientError:
            return


async def messages(server: Server, session: ClientSession) -> list[dict[str, Any]]:
    """Gives the session's messages, as the server has them."""
    async with session.get(f"{server.url}/v1/agents/assistant/sessions/s1/messages") as response:
        return json.loads(await response.read())["messages"]


@pytest.mark.parametrize("reads", [1, 3, 10, 25])
async def test_killed_in_mid_answer(tmp_path: Path, reads: int) -> None:
    async with scripted(tmp_path) as server, ClientSession() as session, asyncio.timeout(SECONDS):
        client = Client(server, session, "tell me a story")
        await client.post(reads)
        server.kill()
        await server.start()
        await client.follow()
        seen = client.seen
        assert seen.status == "completed"
        assert [record["reason"] for record in seen.of_type("run.resumed")] == ["takeover"]
        assert [record["seq"] for record in seen.records] == list(range(2, 7))
        (question, answer) = await messages(server, session)
        assert answer["message"]["parts"][0]["text"].endswith("and the sentence went on.")
        assert question["message"]["parts"][0]["text"] == "tell me a story"
        next_one = Client(server, session, "and now?")
        await next_one.post(1_000_000)
        assert next_one.seen.status == "completed"


async def test_killed_again_and_again(tmp_path: Path) -> None:
    async with scripted(tmp_path) as server, ClientSession() as session, asyncio.timeout(SECONDS * 2):
        client = Client(server, session, "write a file")
        await client.post(4)
        for reads in (2, 4, 6):
            server.kill()
            await server.start()
            await client.follow(reads)
        await client.follow()
        assert client.seen.status == "completed"
        assert [record["attempt"] for record in client.seen.of_type("run.resumed")] == [2, 3, 4]
        assert {record["outcome"] for record in client.seen.of_type("tool.finished")} == {"ok"}
        roles = [message["message"]["role"] for message in await messages(server, session)]
        assert roles == ["user", "assistant", "tool", "tool", "assistant"]
        assert [path.read_text() for path in server.data_dir.glob("workspaces/**/note.txt")] == ["kept"]


async def test_a_repeated_post_after_the_kill_finds_its_run(tmp_path: Path) -> None:
    async with scripted(tmp_path) as server, ClientSession() as session, asyncio.timeout(SECONDS):
        first = Client(server, session, "tell me a story")
        await first.post(3)
        server.kill()
        await server.start()
        again = Client(server, session, "tell me a story")
        await again.post(1_000_000)
        assert again.run == first.run
        assert again.seen.status == "completed"
        assert len(again.seen.of_type("run.queued")) == 1


async def test_sigterm_lets_the_answer_finish(tmp_path: Path) -> None:
    async with scripted(tmp_path) as server, ClientSession() as session, asyncio.timeout(SECONDS):
        client = Client(server, session, "tell me a story")
        await client.post(5)
        code = await asyncio.to_thread(server.stop)
        assert code == 0
        await server.start()
        await client.follow()
        assert client.seen.status == "completed"
        assert not client.seen.of_type("run.resumed")


async def test_trap_graceful_shutdown_waits_for_ever(tmp_path: Path) -> None:
    """With a run that will not end and a client that will not leave, SIGTERM ends the server within its bound."""
    async with scripted(tmp_path, BATON_DRAIN_GRACE="0.2") as server, ClientSession() as session:
        client = Client(server, session, "tell me a story")
        async with asyncio.TaskGroup() as group:
            group.create_task(client.post(1_000_000))
            async with asyncio.timeout(SECONDS):
                while not client.seen.texts:
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                assert await asyncio.to_thread(server.stop) == 0
        await server.start()
        await client.follow()
        assert [record["reason"] for record in client.seen.of_type("run.resumed")] == ["handover"]
        assert client.seen.status == "completed"


async def test_trap_killed_session_stays_already_running(tmp_path: Path) -> None:
    """A session whose server was killed in mid-stream takes the next message at once after the restart."""
    async with scripted(tmp_path) as server, ClientSession() as session, asyncio.timeout(SECONDS):
        await Client(server, session, "tell me a story").post(3)
        server.kill()
        await server.start()
        later = Client(server, session, "and now?")
        await later.post(1_000_000)
        assert later.seen.status == "completed"
        texts = [message["message"]["parts"][0]["text"] for message in await messages(server, session)]
        assert texts[0] == "tell me a story"
        assert texts[-1] == "Fine."


async def test_a_second_server_on_the_same_store_is_refused(tmp_path: Path) -> None:
    async with scripted(tmp_path) as server:
        second = Server(tmp_path / "second", {"BATON_DATA_DIR": str(server.data_dir)})
        with pytest.raises(AssertionError, match=str(server.pid)):
            await second.start()
