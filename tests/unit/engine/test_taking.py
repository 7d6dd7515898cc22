"""Taking: ready sessions and new inputs share the slots."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from app.core.ids import Birth
from app.core.keys import new_run_id
from app.core.messages import TextPart
from app.stores.base import Queued
from app.stores.bundle import Stores
from app.stores.head import Submission
from app.testing.ids import SequentialIds
from app.testing.interception import intercepted
from tests.support.puppet import Puppet
from tests.support.replica import key_of, replica, until
from tests.support.viewer import view


async def test_an_input_that_comes_while_the_worker_takes_is_started_at_once(stores: Stores, tmp_path: Path) -> None:
    taking, gate = asyncio.Event(), asyncio.Event()

    async def slowly(port: str, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if method == "take":
            taking.set()
            await gate.wait()
        return await call()

    slow = replace(stores, sessions=intercepted(stores.sessions, "sessions", slowly))
    async with replica(slow, Puppet(["a"]), tmp_path, slots=2) as server, asyncio.timeout(5):
        await taking.wait()
        accepted = await server.say("one")
        assert accepted.outcome == "started"
        assert view(await server.read(accepted)).status == "completed"
        assert (await server.say("two", "s2")).outcome == "started"
        gate.set()


async def test_ready_sessions_fill_all_slots_without_a_pause(stores: Stores, tmp_path: Path) -> None:
    ids = SequentialIds()
    for number in range(9):
        key = key_of(f"s{number}")
        words = (TextPart(text="x"),)
        submission = Submission(run_id=new_run_id(key, ids), input=words, birth=Birth(ids.token()))
        assert isinstance(await stores.sessions.submit(key, submission, None), Queued)
    async with replica(stores, Puppet([asyncio.Event()]), tmp_path, slots=8) as server:
        await until(lambda: len(server.engine._worker.running()) == 8, seconds=1)
        assert server.engine._worker.free == 0
