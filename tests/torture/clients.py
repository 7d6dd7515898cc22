"""The clients of the torture test: they follow, go away and come back, usually to another replica."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, StreamReader

from tests.torture.witness import Witness

AGENT = "assistant"
PAUSE_SECONDS = 0.05
"""Before a client whose connection failed tries again."""
POLL_SECONDS = 0.5
"""Between two looks at a run."""
STREAM = ClientTimeout(total=None, connect=5.0, sock_connect=2.0)
CALL = ClientTimeout(total=15.0)
BUSY = (409, 429, 502, 503, 504)
"""What a server may answer while it is down, draining or full."""


class Driver:
    """Keeps one session busy: one run after the other, until it is told to stop."""

    def __init__(self, http: ClientSession, base: str, session: str) -> None:
        self.session = session
        self.path = f"{base}/v1/agents/{AGENT}/sessions/{quote(session)}"
        self.run = ""
        self.finished = 0
        self.records: dict[int, dict[str, Any]] = {}
        """The session's log by seq, once it was read."""
        self._http, self._base = http, base

    async def create(self) -> None:
        """The session exists."""
        body = {"session_id": self.session}
        while await self._post(f"{self._base}/v1/agents/{AGENT}/sessions", body) is None:
            await asyncio.sleep(PAUSE_SECONDS)

    async def drive(self, is_over: Callable[[], bool]) -> None:
        """Asks, waits for the end, and asks again."""
        while not is_over():
            accepted = await self.say("go on", background=True)
            if accepted is None or "run_id" not in accepted:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self.run = accepted["run_id"]
            while not await self._has_ended(self.run):
                await asyncio.sleep(POLL_SECONDS)
            self.finished += 1

    async def say(self, text: str, **body: Any) -> dict[str, Any] | None:
        """Gives the accepted input, or None if it was not."""
        return await self._post(f"{self.path}/runs", {"input": text, **body})

    async def cancel(self, run: str) -> None:
        """The run is cancelled, or had ended."""
        await self._post(f"{self._base}/v1/runs/{run}/cancel", None)

    async def rename(self, title: str) -> None:
        """The session has that title, unless its log moved too fast."""
        await self._post(f"{self._base}/torture/{AGENT}/{quote(self.session)}?title={quote(title)}", None)

    async def delete(self) -> None:
        """The session is gone."""
        async with self._http.delete(self.path, timeout=CALL) as response:
            assert response.status in {204, 404}, response.status

    async def read_log(self) -> None:
        """The records are known; nothing is added to them any more."""
        head = await self._get(self.path)
        while head is None:
            head = await self._get(self.path)
        reader = Witness(lambda _: True, whole_session=True)
        async with self._http.get(f"{self.path}/events", timeout=CALL) as response:
            async for chunk in _frames(response.content):
                reader.feed(chunk)
                if reader.records and reader.records[-1]["seq"] >= head["seq"]:
                    break
        self.records = {record["seq"]: record for record in reader.records}

    async def is_idle(self) -> bool:
        """Says whether nothing runs or waits."""
        view = await self._get(self.path)
        return view is not None and view["status"] == "idle"

    async def _has_ended(self, run: str) -> bool:
        view = await self._get(f"{self._base}/v1/runs/{run}")
        return view is not None and view["status"] not in {"queued", "active"}

    async def _get(self, url: str) -> dict[str, Any] | None:
        return await self._call("GET", url, None)

    async def _post(self, url: str, body: dict[str, Any] | None) -> dict[str, Any] | None:
        return await self._call("POST", url, body)

    async def _call(self, method: str, url: str, body: dict[str, Any] | None) -> Any:
        try:
            async with self._http.request(method, url, timeout=CALL, json=body) as response:
                data = await response.read()
                assert response.status < 500 or response.status in BUSY, f"{url}: {response.status} {data!r}"
                if response.status == 404:
                    return {"status": "gone"}
                return msgspec.json.decode(data) if response.status < 300 and data else None
        except (ClientError, TimeoutError, ConnectionError):
            return None


class Follower:
    """Follows a session, each connection for so many seconds, and checks all that it is shown."""

    def __init__(self, http: ClientSession, driver: Driver, every: float, witness: Witness) -> None:
        self.seen = witness
        self.driver = driver
        self.connections = 0
        self._http, self._every = http, every

    @property
    def has_seen_all(self) -> bool:
        """Says whether it was shown as many records as the session has."""
        return len(self.seen.records) >= len(self.driver.records)

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Follows until it is over and the whole log was shown."""
        await asyncio.sleep(random.random() * self._every)
        while not is_over():
            self.seen.reconnect()
            try:
                await self._connect()
            except (ClientError, TimeoutError, ConnectionError):
                await asyncio.sleep(PAUSE_SECONDS)

    async def _connect(self) -> None:
        headers = {"Last-Event-ID": self.seen.last_id} if self.seen.last_id else {}
        async with self._http.get(f"{self.driver.path}/events", headers=headers, timeout=STREAM) as response:
            if response.status != 200:
                is_fine = response.status in BUSY or (response.status == 404 and self.seen.is_excused)
                assert is_fine, f"{response.status}: {await response.read()!r}"
                await asyncio.sleep(PAUSE_SECONDS)
                return
            self.connections += 1
            end, rest = time.monotonic() + self._every, b""
            while (left := end - time.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left):
                        chunk = await response.content.readany()
                except TimeoutError:
                    return
                if not chunk:
                    return
                whole, mark, rest = (rest + chunk).rpartition(b"\n\n")
                self.seen.feed(whole + mark)


async def _frames(content: StreamReader) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for chunk in content.iter_any():
        whole, mark, rest = (rest + chunk).rpartition(b"\n\n")
        yield whole + mark


async def disturb(drivers: list[Driver], seconds: float, is_over: Callable[[], bool]) -> int:
    """Appends something to some session every so many seconds, from outside; gives how often."""
    count = 0
    async with asyncio.TaskGroup() as group:
        while not is_over():
            count += 1
            group.create_task(_disturb(random.choice(drivers), count))
            await asyncio.sleep(seconds)
    return count


async def _disturb(driver: Driver, number: int) -> None:
    chance = random.random()
    if chance < 0.6:
        await driver.rename(f"title {number}")
    elif chance < 0.8:
        await driver.say(f"and {number}", background=True, on_busy="steer")
    elif chance < 0.95:
        queued = await driver.say(f"later {number}", background=True)
        if queued is not None and "run_id" in queued:
            await driver.cancel(queued["run_id"])
    elif driver.run:
        await driver.cancel(driver.run)
