"""`/metrics`: open to all, in Prometheus' words, and cheap while the server is at work."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from app.api.application import create_api
from app.api.routes.metrics import metrics_router
from app.core.clock import SystemClock
from app.llm.metered import MeteredModel
from app.observability.exposition import Exposition
from app.observability.lag import LoopLag
from app.stores.memory.stores import open_memory
from app.stores.metered import StoreMeter, metered
from app.stores.tally import Tally
from app.tools.metered import MeteredTool
from app.tools.toolbox import builtin_tools
from tests.api.conftest import ALICE, CONTRACT, FakeAuthenticator
from tests.support.http import Client, serving
from tests.support.puppet import Puppet
from tests.support.replica import replica
from tests.support.services.binaries import binary
from tests.unit.observability.scrapes import Figures

STREAMS = 50
SCRAPE_SECONDS = 0.05


class Metered:
    """A server with every source there is, whose model waits for `go` in the middle of its answer."""

    def __init__(self, api: Client, go: asyncio.Event) -> None:
        self.api, self.go = api, go

    async def scrape(self) -> Figures:
        """Gives the figures, asked for by somebody without a key."""
        return Figures((await self.text()).encode())

    async def text(self, accept: str = "") -> str:
        url, headers = self.api.base + "/metrics", {"Accept": accept} if accept else {}
        async with ClientSession(headers=headers) as session, session.get(url) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Cache-Control"] == "no-store"
            wanted = "application/openmetrics-text" if "openmetrics" in accept else "text/plain"
            assert response.content_type == wanted
            return await response.text()

    @asynccontextmanager
    async def streams(self, count: int) -> AsyncGenerator[list[AsyncIterator[object]], None]:
        """Holds that many runs' streams open, each in the middle of its answer."""
        async with AsyncExitStack() as stack:
            opened: list[AsyncIterator[object]] = []
            for number in range(count):
                request = {"input": "hi", "session_id": f"s{number}"}
                asked = self.api.stream("POST", "/v1/chat", json=request)
                _, events = await stack.enter_async_context(asked)
                opened.append(events)
            async with asyncio.TaskGroup() as tasks:
                for events in opened:
                    tasks.create_task(_until_it_speaks(events))
            yield opened


async def _until_it_speaks(events: AsyncIterator[object]) -> None:
    async for event in events:
        if getattr(event, "name", "") == "delta":
            return


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Metered, None]:
    clock, go = SystemClock(), asyncio.Event()
    meter, tally, lag = StoreMeter("memory", clock), Tally(tool.spec.name for tool in builtin_tools()), LoopLag(clock)
    model = MeteredModel(Puppet(["Hel", go, "lo"]), "puppet", clock)
    tools = [MeteredTool(tool, clock) for tool in builtin_tools()]
    exposition = Exposition("1.2.3", [meter, tally, lag, model, *tools])
    async with (
        open_memory(clock) as stores,
        replica(metered(stores, meter, tally), model, tmp_path, slots=STREAMS) as one,
        asyncio.TaskGroup() as tasks,
    ):
        probing = tasks.create_task(lag.probe_forever())
        app = create_api(one.engine, FakeAuthenticator())
        app.include_router(metrics_router(exposition))
        async with serving(app) as base, Client.of(base, ALICE, CONTRACT) as api:
            yield Metered(api, go)
        probing.cancel()


async def test_a_turn_is_told_of(server: Metered) -> None:
    server.go.set()
    answer = await server.api.post("/v1/chat", json={"input": "hi", "stream": False})
    assert answer.json["output"] == "Hello"
    found = await server.scrape()
    assert found.of("baton_runs_finished_total", status="completed") == 1
    assert found.of("baton_model_calls_total", provider="puppet", outcome="ok") == 1
    assert found.of("baton_model_tokens_total", kind="output") == 5
    assert found.of("baton_store_call_seconds_count", backend="memory", method="sessions.commit") == 1


async def test_both_formats_say_the_same(server: Metered) -> None:
    plain, opened = await server.text(), await server.text("application/openmetrics-text; version=1.0.0")
    assert opened.endswith("# EOF\n")
    assert not plain.endswith("# EOF\n")
    assert {line.split("{")[0].split(" ")[0] for line in opened.splitlines() if not line.startswith("#")} == {
        line.split("{")[0].split(" ")[0] for line in plain.splitlines() if not line.startswith("#")
    }


@pytest.mark.parametrize("accept", ["\xff", "a/b;version=;q=", "," * 5000, "text/plain;version=x;escaping=allow-utf-8"])
async def test_no_accept_header_does_harm(server: Metered, accept: str) -> None:
    assert "baton_build_info" in await server.text(accept)


async def test_it_is_not_part_of_the_api(server: Metered) -> None:
    async with server.api.session.get(server.api.base + "/openapi.json") as response:
        assert "/metrics" not in (await response.json())["paths"]


async def test_a_scrape_is_quick_while_streams_run(server: Metered) -> None:
    async with server.streams(STREAMS):
        took: list[float] = []
        for _ in range(5):
            began = time.perf_counter()
            await server.text()
            took.append(time.perf_counter() - began)
        found = await server.scrape()
        server.go.set()
    assert found["baton_runs_started_total"] == STREAMS
    assert min(took) < SCRAPE_SECONDS, took


async def test_promtool_finds_nothing(server: Metered) -> None:
    server.go.set()
    await server.api.post("/v1/chat", json={"input": "hi", "stream": False})
    checking = await asyncio.create_subprocess_exec(
        binary("promtool"), "check", "metrics", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, said = await checking.communicate((await server.text()).encode())
    assert (checking.returncode, said) == (0, b"")
