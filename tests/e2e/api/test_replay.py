"""A session of 10,000 records: followed from its beginning and from its middle, without limit of time or memory."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientTimeout

from app.auth.loopback import DEFAULT_TENANT
from app.core.clock import SystemClock
from app.core.ids import ANONYMOUS, AgentId, Birth, RunId, SessionId, call_id, item_id
from app.core.keys import SessionKey
from app.core.messages import Message, TextPart, ToolCallPart, ToolResultPart
from app.core.records import (
    AnyRecord,
    MessageAppended,
    RunFinished,
    RunQueued,
    RunStarted,
    SessionCreated,
    ToolFinished,
)
from app.stores.base import Position
from app.stores.sqlite.stores import open_sqlite
from tests.e2e.api.conftest import CONTRACT
from tests.e2e.api.talk import Talk
from tests.support.http import Client
from tests.support.server import Server, running
from tests.support.sse import Event, events

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = SessionKey(DEFAULT_TENANT, ANONYMOUS, AgentId("assistant"), SessionId("long"))
RUN = RunId(f"run_{KEY.digest()[:16]}_long")
RECORDS = 10_000
TEXT = "What was said, at some length. " * 20
SECONDS = 15.0
"""How long a replay of it all, or a turn after it, may take on a busy machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    home = tmp_path_factory.mktemp("replay")
    await _write_log(home / "data" / "baton.db")
    async with running(home) as server:
        yield server


async def test_from_the_beginning(server: Server) -> None:
    began = time.monotonic()
    seen = await follow(server, f"/v1/runs/{RUN}/events")
    assert time.monotonic() - began < SECONDS
    assert seqs_of(seen) == list(range(2, RECORDS + 1))
    assert [seen[0].name, seen[-1].name] == ["run.queued", "run.finished"]
    for event in seen[:: RECORDS // 50]:
        CONTRACT.check_event(event.name, event.data)


@pytest.mark.parametrize("seq", [1, 255, 256, 257, 5_000, 9_999])
async def test_from_the_middle(server: Server, seq: int) -> None:
    birth = (await follow(server, f"/v1/runs/{RUN}/events?after={RECORDS - 1}"))[0].id.partition(".")[0]
    by_id = await follow(server, f"/v1/runs/{RUN}/events", {"Last-Event-ID": f"{birth}.{seq}"})
    by_seq = await follow(server, f"/v1/runs/{RUN}/events?after={seq}")
    assert seqs_of(by_id) == list(range(seq + 1, RECORDS + 1))
    assert by_seq == by_id


async def test_with_a_connection_lost_again_and_again(server: Server) -> None:
    seen: list[Event] = []
    for stop in (700, 1_500, 256, 4_000, 10_000):
        headers = {"Last-Event-ID": seen[-1].id} if seen else {}
        seen += await follow(server, f"/v1/runs/{RUN}/events", headers, stop)
    assert seqs_of(seen) == list(range(2, RECORDS + 1))


async def test_many_replays_at_once_take_little_memory(server: Server) -> None:
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follow(server, f"/v1/runs/{RUN}/events?after={5_000}")) for _ in range(4)]
        slow = group.create_task(follow(server, f"/v1/runs/{RUN}/events", {}, 10))
    assert [len(task.result()) for task in tasks] == [RECORDS - 5_000] * 4
    assert len(slow.result()) == 10
    assert process.memory_info().rss - before < 48 * 1024 * 1024


async def test_its_messages_come_in_pages_and_it_goes_on(server: Server) -> None:
    async with Client.of(server.url, contract=CONTRACT) as api:
        talk = Talk(api, KEY.session)
        page = (await api.get(f"{talk.path}/messages?limit=200&after=5000")).json
        assert [view["seq"] for view in page["messages"]] == list(range(5_001, 5_201))
        began = time.monotonic()
        assert "You said: and now?" in (await talk.result("and now?"))["output"]
        assert time.monotonic() - began < SECONDS


async def follow(
    server: Server, path: str, headers: dict[str, str] | None = None, stop: int = RECORDS * 2
) -> list[Event]:
    """Gives the stream's events: all of them, or the first `stop` of them."""
    async with (
        ClientSession(timeout=ClientTimeout(30)) as session,
        session.get(server.url + path, headers=headers) as response,
    ):
        assert response.status == 200
        found: list[Event] = []
        async for event in events(response.content.iter_any()):
            found.append(event)
            if len(found) == stop:
                break
        return found


def seqs_of(seen: Sequence[Event]) -> list[int]:
    """Gives the places of the records, by their ids, which must say the same as their data."""
    assert {event.id.partition(".")[2] for event in seen} == {str(event.data["seq"]) for event in seen}
    return [event.data["seq"] for event in seen]


async def _write_log(path: Path) -> None:
    path.parent.mkdir(parents=True)
    async with open_sqlite(path, SystemClock()) as stores:
        records, seq, birth = _records(), 0, Birth("b1rth")
        while batch := list(itertools.islice(records, 1 if not seq else 500)):
            seq = (await stores.sessions.append(KEY, Position(birth, seq), batch))[-1].seq
    assert seq == RECORDS


def _records() -> Iterator[AnyRecord]:
    now = SystemClock().now()
    yield SessionCreated(at=now, title="long")
    yield RunQueued(at=now, run_id=RUN, input=(TextPart(text="go"),))
    yield RunStarted(at=now, run_id=RUN, agent_digest="d", epoch=1)
    for step in range(0, RECORDS - 4, 2):
        yield from _step(step)
    yield RunFinished(at=now, run_id=RUN, status="limited")


def _step(step: int) -> Iterator[AnyRecord]:
    now, seq, call = SystemClock().now(), step + 3, item_id(RUN, step, 1)
    asked = ToolCallPart(item=call, call_id=call_id(call), name="list_files", arguments="{}")
    message = Message(role="assistant", parts=(TextPart(text=TEXT), asked))
    yield MessageAppended(at=now, run_id=RUN, item=item_id(RUN, step, 0), message=message, seen=seq)
    result = ToolResultPart(item=call, call_id=call_id(call), name="list_files", text=TEXT)
    yield ToolFinished(at=now, run_id=RUN, item=call, result=result, outcome="ok")
