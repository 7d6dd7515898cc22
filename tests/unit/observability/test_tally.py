"""What is written is counted once it is there; a count that is left out is noticed."""

from collections.abc import AsyncGenerator

import pytest

from app.core.errors import HeadMoved, InvalidInput
from app.core.ids import TenantId, call_id
from app.core.messages import ToolResultPart, Usage
from app.core.records import Entry, Outcome, RunResumed, ToolFinished
from app.stores.base import Beat, Position, Release
from app.stores.bundle import Stores
from app.stores.memory.stores import open_memory
from app.stores.metered import StoreMeter, metered
from app.stores.tally import Tally
from app.testing.clock import START, ManualClock
from tests.contracts.scenes import answer, ask, begin, done, end, item, key, rid, title, turn, wait_in_line, who
from tests.unit.observability.scrapes import Figures, scraped

KEY = key()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def meter(clock: ManualClock) -> StoreMeter:
    return StoreMeter("memory", clock)


@pytest.fixture
def tally() -> Tally:
    return Tally(["known"])


@pytest.fixture
async def stores(clock: ManualClock, meter: StoreMeter, tally: Tally) -> AsyncGenerator[Stores, None]:
    async with open_memory(clock) as opened:
        yield metered(opened, meter, tally)


async def live(stores: Stores, clock: ManualClock) -> None:
    """Everything that is tallied happens, each a number of times of its own."""
    sessions = stores.sessions
    for number in range(5):
        await turn(stores, key(f"turn{number}"))
    await begin(stores, KEY)
    for _ in range(2):
        await sessions.submit(KEY, ask("r2"), None)
    await sessions.submit(KEY, ask("r3", policy=ask().policy.STEER), None)
    with pytest.raises(InvalidInput):
        await sessions.submit(KEY, ask("r4", where=key("other")), None)
    await wait_in_line(stores, key("ready"))
    (taken,) = await sessions.take(who("n1", "dead"), 1, [])
    assert await sessions.sweep(who("n1", "dead").incarnation, 10) == 1
    await stores.replicas.beat(who("n1", "dead").incarnation)
    (beat,) = await stores.replicas.live()
    assert await stores.replicas.bury(beat)
    assert not await stores.replicas.bury(Beat(who("n9", "nobody").incarnation, 7, 0.0))
    (again,) = await sessions.take(who("n2", "alive"), 1, [])
    assert (taken.orphaned, again.orphaned) == (False, True)
    run, where = again.log.head.active, again.key
    assert run is not None
    resumed = RunResumed(at=START, run_id=run, attempt=2, reason="takeover", epoch=again.claim.epoch)
    counted = Usage(input_tokens=7, output_tokens=5, cached_tokens=3)
    replied = answer(where=where)
    told = type(replied)(
        at=START, run_id=run, item=replied.item, message=replied.message, seen=replied.seen, usage=counted
    )
    results = [_result("known", "ok"), _result("made up", "timeout"), _result("made up, too", "timeout")]
    await sessions.commit(where, again.claim, 1, 3, [resumed, told, *results, done(where=where)], Release())
    clock.advance(1)
    at = end(await sessions.read(key("turn0")))
    await sessions.append(key("turn0"), at, [title("new")])
    with pytest.raises(HeadMoved):
        await sessions.append(key("turn0"), Position(at.birth, 1), [title("newer")])


def _result(name: str, outcome: Outcome) -> ToolFinished:
    part = ToolResultPart(item=item(), call_id=call_id(item()), name=name, text="")
    return ToolFinished(at=START, run_id=rid(), item=item(), result=part, outcome=outcome)


def ignore(_: object) -> None:
    """Counts nothing."""


def check(found: Figures) -> None:
    """All that `live` does is counted."""
    for outcome, count in {"claimed": 6, "queued": 2, "attached": 1, "joined": 1}.items():
        assert found.of("baton_inputs_total", outcome=outcome) == count, outcome
    assert found["baton_runs_started_total"] == 7
    assert found.of("baton_runs_finished_total", status="completed") == 6
    assert found.of("baton_runs_finished_total") == 6
    assert found.of("baton_runs_resumed_total", reason="takeover") == 1
    assert found.of("baton_sessions_taken_total", reason="ready") == 1
    assert found.of("baton_sessions_taken_total", reason="orphaned") == 1
    assert found["baton_sessions_swept_total"] == 1
    assert found["baton_replicas_buried_total"] == 1
    assert found.of("baton_records_written_total", type="message.appended") == 6
    assert found.of("baton_records_written_total", type="state.patched") == 1
    assert found.of("baton_tool_results_total", tool="known", outcome="ok") == 1
    assert found.of("baton_tool_results_total", tool="other", outcome="timeout") == 2
    tokens = [found.of("baton_model_tokens_total", kind=kind) for kind in ("input", "output", "cached")]
    assert tokens == [7, 5, 3]
    assert found.of("baton_store_call_seconds_count", method="sessions.submit") == 11
    assert found.of("baton_store_errors_total", method="sessions.submit", code="invalid_input") == 1
    assert found.of("baton_store_errors_total", method="sessions.append", code="head_moved") == 1


async def test_what_happened_is_counted(stores: Stores, clock: ManualClock, meter: StoreMeter, tally: Tally) -> None:
    await live(stores, clock)
    check(await scraped(meter, tally))


async def test_figures_that_may_stay_at_zero_are_told_from_the_start(tally: Tally) -> None:
    found = await scraped(tally)
    assert {status for (_, labels), value in found.series.items() if not value for _, status in labels} >= {
        *("completed", "cancelled", "failed", "limited"),
        *("takeover", "handover", "orphaned", "ready", "claimed", "queued", "joined", "attached"),
    }


@pytest.mark.parametrize("method", ["submitted", "took", "wrote", "_look"])
async def test_what_is_not_tallied_is_noticed(
    stores: Stores, clock: ManualClock, meter: StoreMeter, tally: Tally, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, method, ignore)
    await live(stores, clock)
    with pytest.raises(AssertionError):
        check(await scraped(meter, tally))


async def test_ports_that_are_not_metered_are_noticed(clock: ManualClock, meter: StoreMeter, tally: Tally) -> None:
    async with open_memory(clock) as opened:
        await live(opened, clock)
    with pytest.raises(AssertionError):
        check(await scraped(meter, tally))


async def test_no_label_is_what_a_tenant_chose(
    stores: Stores, clock: ManualClock, meter: StoreMeter, tally: Tally
) -> None:
    """Series cost memory where they are kept, for as long as they are kept."""
    await live(stores, clock)
    await use(stores, tally, "early")
    before = await scraped(meter, tally)
    await use(stores, tally, "late")
    after = await scraped(meter, tally)
    assert before.series.keys() == after.series.keys()


async def use(stores: Stores, tally: Tally, name: str) -> None:
    """Many tenants do something, each under names of its own."""
    for tenant in (f"{name}{number}" for number in range(20)):
        where = key(tenant, tenant=tenant, user=tenant, agent=tenant)
        await stores.sessions.submit(where, ask(tenant, tenant, where=where), None)
        await stores.keyvalue.put(TenantId(tenant), tenant, b"")
        tally.wrote((await stores.sessions.read(where, 0)).entries)
        tally.wrote([Entry(1, _result(tenant, "ok"), b"")])
