"""How servers of this kind fail today, as far as the engine is concerned: each failure, shown not to happen here."""

import asyncio
from pathlib import Path

import pytest

from app.core.errors import StaleClaim
from app.core.ids import AgentId, Incarnation, Nonce
from app.engine.takeover import bury_predecessors
from app.stores.base import Beat
from app.stores.bundle import Stores
from app.stores.head import Claimant
from tests.support.puppet import Call, Puppet
from tests.support.replica import AGENT, WHO, key_of, replica
from tests.support.tools import CountingTool
from tests.support.viewer import Viewer, view


async def test_trap_pending_calls_run_again_or_called_failed(stores: Stores, tmp_path: Path) -> None:
    """An unsafe call that was under way when its server died is neither repeated nor called failed: it is unknown."""
    tool = CountingTool(after=asyncio.Event())
    model = Puppet([Call("count", "{}")], ["noted"])
    async with replica(stores, model, tmp_path, tools=(tool,)) as first:
        accepted = await first.say("pay")
        await tool.done.wait()
    async with replica(stores, model, tmp_path, tools=(tool,)) as second:
        async with asyncio.timeout(5):
            seen = view(b"".join([data async for data in (await second.engine.follow_accepted(accepted)).frames()]))
    assert [record["outcome"] for record in seen.of_type("tool.finished")] == ["unknown"]
    assert sum(tool.effects.values()) == 1


async def test_trap_state_saved_once_per_call(stores: Stores, tmp_path: Path) -> None:
    """A death after a step loses nothing of it: the user's message, the result and the file are there."""
    gate = asyncio.Event()
    tool = CountingTool(before=gate)
    write = Call("write_file", '{"path": "a.txt", "content": "kept"}')
    model = Puppet([write], [Call("count", "{}")])
    async with replica(stores, model, tmp_path, tools=(tool,)) as server:
        await server.say("remember this")
        await tool.entered.wait()
    state = (await stores.sessions.read(key_of("s1"))).state()
    assert [message.role for message in state.messages] == ["user", "assistant", "tool", "assistant"]
    assert [path.read_text() for path in tmp_path.glob("workspaces/**/a.txt")] == ["kept"]


async def test_trap_a_paused_owner_wakes_up_as_owner(stores: Stores, tmp_path: Path) -> None:
    """Whoever was declared dead while it slept can write nothing when it wakes."""
    model = Puppet(["a", asyncio.Event()])
    async with replica(stores, model, tmp_path) as sleeper:
        await sleeper.say("one")
        await model.began.wait()
        old = (await stores.heads.peek([key_of("s1")]))[key_of("s1")]
        await bury_predecessors(stores.replicas, stores.sessions, Incarnation("new"))
        taker = Claimant(incarnation=Incarnation("new"), nonce=Nonce("n"), digests={AgentId(AGENT): "d"})
        (taken,) = await stores.sessions.take(taker, 1, [])
        with pytest.raises(StaleClaim):
            await stores.sessions.commit(key_of("s1"), old.claim, 1, old.seq, [])
        assert (await stores.heads.peek([key_of("s1")]))[key_of("s1")].claim == taken.claim


async def test_trap_the_orphan_sweep_kills_live_peers(stores: Stores) -> None:
    """A beat that came after the look is not buried, and a sweep frees the sessions of the dead alone."""
    await stores.replicas.beat(Incarnation("alive"))
    await stores.replicas.beat(Incarnation("dead"))
    seen = {beat.incarnation: beat for beat in await stores.replicas.live()}
    await stores.replicas.beat(Incarnation("alive"))
    stale = seen[Incarnation("alive")]
    assert not await stores.replicas.bury(Beat(stale.incarnation, stale.count, stale.age))
    assert await stores.replicas.bury(seen[Incarnation("dead")])
    assert [beat.incarnation for beat in await stores.replicas.live()] == ["alive"]


async def test_trap_a_restart_drops_a_genuine_message(stores: Stores, tmp_path: Path) -> None:
    """An input that arrives while the restarted server still resumes the old run is answered after it."""
    model = Puppet(["half", asyncio.Event()])
    async with replica(stores, model, tmp_path) as first:
        old = await first.say("old")
        await model.began.wait()
    model.answers = (["old answer"], ["new answer"])
    async with replica(stores, model, tmp_path) as second:
        new = await second.say("new")
        async with asyncio.timeout(5):
            assert (await second.engine.finished(WHO, old.run_id)).status == "completed"
            assert view(await second.read(new)).status == "completed"
    assert [message.text() for message in model.requests[-1].messages] == ["old", "old answer", "new"]


async def test_trap_replay_lives_in_the_producers_memory(stores: Stores, tmp_path: Path) -> None:
    """A finished run reads the same from another process, byte for byte."""
    async with replica(stores, Puppet([Call("list_files", "{}")], ["a"]), tmp_path) as first:
        accepted = await first.say("go")
        await first.engine.finished(WHO, accepted.run_id)
        before = [data async for data in (await first.engine.follow_run(WHO, accepted.run_id, None)).frames()]
    async with replica(stores, Puppet(["b"]), tmp_path) as second:
        after = [data async for data in (await second.engine.follow_run(WHO, accepted.run_id, None)).frames()]
    assert view(b"".join(before)).records == view(b"".join(after)).records
    assert b"".join(before).count(b"id: ") == b"".join(after).count(b"id: ") == 6


async def test_trap_duplicate_ids_or_ids_restarted_per_request(stores: Stores, tmp_path: Path) -> None:
    """Over runs, connections and a restart no event id comes twice, and they rise."""
    seen = Viewer(whole_session=True)
    for text in ("one", "two"):
        async with replica(stores, Puppet(["an ", "answer"]), tmp_path) as server:
            for _ in range(2):
                accepted = await server.say(text)
                await server.engine.finished(WHO, accepted.run_id)
                stream = (await server.engine.follow_session(WHO, AGENT, accepted.key.session, seen.last_id)).frames()
                finished = len(seen.of_type("run.finished"))
                while len(seen.of_type("run.finished")) == finished:
                    seen.feed(await anext(stream))
                await stream.aclose()
    assert [record["seq"] for record in seen.records] == list(range(1, len(seen.records) + 1))


async def test_trap_a_busy_gate_answers_with_an_empty_stream(stores: Stores, tmp_path: Path) -> None:
    """The stream of an input to a busy session begins with its acceptance and ends with its end."""
    gate = asyncio.Event()
    async with replica(stores, Puppet([gate, "a"], ["b"]), tmp_path) as server:
        await server.say("one")
        waiting = await server.say("two")
        gate.set()
        seen = view(await server.read(waiting))
    assert [seen.records[0]["type"], seen.records[-1]["type"]] == ["run.queued", "run.finished"]


async def test_trap_one_order_per_session_gets_lost_between_workers(stores: Stores, tmp_path: Path) -> None:
    """Inputs of one session are answered in the order the store took them, whoever runs them."""
    model = Puppet(["a"])
    async with replica(stores, model, tmp_path, incarnation="one", slots=1) as server:
        accepted = [await server.say(f"{number}") for number in range(10)]
        for item in accepted:
            await server.read(item)
    asked = [message.text() for message in model.requests[-1].messages if message.role == "user"]
    assert asked == [f"{number}" for number in range(10)]
