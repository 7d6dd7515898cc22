"""A second input while a run is active, and cancels: what each policy does, and that nothing is stranded."""

import asyncio
from pathlib import Path

import pytest

from app.auth.base import Principal
from app.core.errors import IdempotencyMismatch, QueueFull, SessionBusy
from app.core.ids import ANONYMOUS, TenantId
from app.core.records import Busy
from app.stores.bundle import Stores
from app.stores.head import MAX_QUEUE
from tests.support.puppet import Call, Puppet
from tests.support.replica import WHO, key_of, replica
from tests.support.tools import CountingTool
from tests.support.viewer import Viewer, view


async def test_queued_runs_are_answered_in_order_under_one_tenure(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    model = Puppet(["a", gate, "b"], ["c"], ["d"])
    async with replica(stores, model, tmp_path) as server:
        accepted = [await server.say(text) for text in ("one", "two", "three")]
        assert [item.outcome for item in accepted] == ["started", "queued", "queued"]
        await model.began.wait()
        gate.set()
        answers = [view(await server.read(item)) for item in accepted]
    assert [answer.of_type("message.appended")[0]["message"]["parts"][0]["text"] for answer in answers] == [
        "ab",
        "c",
        "d",
    ]
    assert [message.text() for message in model.requests[-1].messages] == ["one", "ab", "two", "c", "three"]


async def test_reject_names_the_run(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with replica(stores, Puppet([gate, "a"]), tmp_path) as server:
        first = await server.say("one")
        with pytest.raises(SessionBusy) as refused:
            await server.say("two", policy=Busy.REJECT)
        assert refused.value.run_id == first.run_id
        gate.set()
        await server.read(first)
        assert (await server.say("three", policy=Busy.REJECT)).outcome == "started"


async def test_interrupt_cancels_the_active_run_only(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    model = Puppet(["never ", gate], ["b"])
    model.answers = (["shown ", gate], ["b"], ["c"])
    async with replica(stores, model, tmp_path) as server:
        first = await server.say("one")
        await model.began.wait()
        waiting = await server.say("two")
        gate_for_rest = await server.say("three", policy=Busy.INTERRUPT)
        gate.set()
        seen = [view(await server.read(item)) for item in (first, waiting, gate_for_rest)]
    assert [viewer.status for viewer in seen] == ["cancelled", "completed", "completed"]


async def test_steer_joins_before_the_next_model_call(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    model = Puppet(["first ", gate, "thought"], ["second thought"])
    async with replica(stores, model, tmp_path) as server:
        first = await server.say("one")
        await model.began.wait()
        joined = await server.say("no, two", policy=Busy.STEER)
        assert (joined.outcome, joined.run_id) == ("joined", first.run_id)
        gate.set()
        seen = view(await server.read(first))
    assert [record["message"]["parts"][0]["text"] for record in seen.of_type("message.appended")] == [
        "first thought",
        "second thought",
    ]
    assert [message.text() for message in model.requests[1].messages] == ["one", "first thought", "no, two"]
    assert len(seen.of_type("run.finished")) == 1


async def test_steer_during_calls_comes_after_their_results(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    tool = CountingTool(before=gate)
    model = Puppet([Call("count", "{}")], ["done"])
    async with replica(stores, model, tmp_path, tools=(tool,)) as server:
        first = await server.say("one")
        await tool.entered.wait()
        await server.say("also two", policy=Busy.STEER)
        gate.set()
        await server.read(first)
    assert [message.role for message in model.requests[1].messages] == ["user", "assistant", "tool", "user"]


async def test_cancel_in_mid_answer_keeps_what_was_shown(stores: Stores, tmp_path: Path) -> None:
    model = Puppet(["shown", asyncio.Event()])
    async with replica(stores, model, tmp_path) as server:
        accepted = await server.say("one")
        stream = await server.engine.follow_accepted(accepted)
        seen = Viewer()
        async for data in stream.frames():
            seen.feed(data)
            if seen.texts and not seen.of_type("run.cancel_requested"):
                await server.engine.cancel(WHO, accepted.run_id)
        assert seen.status == "cancelled"
        (partial,) = seen.of_type("message.appended")
        assert partial["message"] == {
            "role": "assistant",
            "parts": [{"type": "text", "text": "shown"}],
            "incomplete": True,
        }
        again = await server.engine.cancel(WHO, accepted.run_id)
        assert again.status == "cancelled"


async def test_cancel_stops_calls_and_the_session_stays_usable(stores: Stores, tmp_path: Path) -> None:
    tool = CountingTool(before=asyncio.Event())
    model = Puppet([Call("count", "{}")])
    async with replica(stores, model, tmp_path, tools=(tool,)) as server:
        accepted = await server.say("one")
        await tool.entered.wait()
        await server.engine.cancel(WHO, accepted.run_id)
        seen = view(await server.read(accepted))
        assert seen.of_type("tool.finished")[0]["outcome"] == "cancelled"
        model.answers = (["fine"],)
        assert view(await server.ask("two")).status == "completed"
    assert [message.role for message in model.requests[-1].messages] == ["user", "assistant", "tool", "user"]
    assert not tool.effects


async def test_cancel_of_a_queued_run_withdraws_its_input(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    model = Puppet([gate, "a"], ["b"])
    async with replica(stores, model, tmp_path) as server:
        first, second = await server.say("one"), await server.say("two")
        cancelled = await server.engine.cancel(WHO, second.run_id)
        assert cancelled.status == "cancelled"
        seen = view(await server.read(second))
        assert [record["type"] for record in seen.records] == ["run.queued", "input.withdrawn", "run.finished"]
        gate.set()
        await server.read(first)
        await server.ask("three")
    assert "two" not in [message.text() for message in model.requests[-1].messages]


async def test_the_queue_is_bounded(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with replica(stores, Puppet([gate, "a"]), tmp_path) as server:
        for i in range(MAX_QUEUE + 1):
            await server.say(f"{i}")
        with pytest.raises(QueueFull):
            await server.say("one too many")
        gate.set()


async def test_a_repeated_request_attaches_to_its_run_also_after_it_ended(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with replica(stores, Puppet([gate, "a"]), tmp_path) as server:
        first = await server.say("one", key="k1")
        again = await server.say("one", key="k1")
        assert (again.outcome, again.run_id) == ("attached", first.run_id)
        gate.set()
        whole = view(await server.read(first))
        late = await server.say("one", key="k1")
        assert view(await server.read(late)).records == whole.records
        with pytest.raises(IdempotencyMismatch):
            await server.say("two", key="k1")


async def test_slots_are_bounded_and_waiting_runs_start_when_one_is_free(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with replica(stores, Puppet([gate, "a"]), tmp_path, slots=2) as server:
        accepted = [await server.say("q", session=f"s{i}") for i in range(6)]
        assert [item.outcome for item in accepted] == ["started"] * 2 + ["queued"] * 4
        assert len(server.engine._worker.running()) == 2
        gate.set()
        statuses = [view(await server.read(item)).status for item in accepted]
    assert statuses == ["completed"] * 6


async def test_one_tenant_does_not_starve_another(stores: Stores, tmp_path: Path) -> None:
    gate = asyncio.Event()
    other = Principal(TenantId("other"), ANONYMOUS)
    model = Puppet([gate, "a"])
    async with replica(stores, model, tmp_path, slots=2) as server:
        first = await server.say("q", session="s0")
        waiting = [await server.say("q", session=f"s{i}") for i in range(1, 10)]
        theirs = await server.say("theirs", session="t", who=other)
        gate.set()
        await server.read(first)
        await server.read(theirs)
        for item in waiting:
            await server.read(item)
    order = [request.messages[-1].text() for request in model.requests]
    assert order.index("theirs") <= 3


async def test_trap_four_busy_policies_accepted_one_implemented(stores: Stores, tmp_path: Path) -> None:
    """Each policy does something of its own with the same input at the same moment."""
    outcomes: dict[Busy, str] = {}
    for policy in Busy:
        model = Puppet(["x", asyncio.Event()])
        async with replica(stores, model, tmp_path) as server:
            await server.say("one", session=policy)
            await model.began.wait()
            try:
                outcome = (await server.say("two", session=policy, policy=policy)).outcome
            except SessionBusy:
                outcome = "refused"
            cancelling = (await stores.heads.peek([key_of(policy)]))[key_of(policy)].cancelling
            outcomes[policy] = f"{outcome}, {cancelling}"
    assert len(set(outcomes.values())) == len(Busy)


async def test_trap_requests_race_for_one_session(stores: Stores, tmp_path: Path) -> None:
    """Fifty inputs at once end each in exactly one of answered or joined, and one run at a time is active."""
    model = Puppet(["a"])
    async with replica(stores, model, tmp_path) as server:
        policies = [Busy.ENQUEUE, Busy.STEER]
        accepted = await asyncio.gather(*(server.say(f"q{i}", policy=policies[i % 2]) for i in range(30)))
        for item in accepted:
            await server.read(item)
        log = await stores.sessions.read(key_of("s1"), 0, 1000)
    texts = [message.text() for message in model.requests[-1].messages if message.role == "user"]
    assert sorted(texts) == sorted(f"q{i}" for i in range(30))
    assert log.head.status == "idle"
