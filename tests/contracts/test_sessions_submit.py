"""`submit`: an input comes in once, and claims the session if it may."""

import asyncio

import pytest
from msgspec.structs import replace

from app.core.encoding import encode_record
from app.core.errors import InvalidInput, QueueFull, RecordTooLarge, SessionBusy, SessionNotFound
from app.core.ids import RunId
from app.core.messages import Message, TextPart
from app.core.records import (
    MAX_RECORD_BYTES,
    Busy,
    InputSteered,
    InputWithdrawn,
    RunQueued,
    RunStarted,
    SessionCreated,
)
from app.stores.base import Attached, Claimed, Joined, Position, Queued, Release
from app.stores.bundle import Stores
from app.stores.head import MAX_QUEUE, MAX_STEERED, Claim, Claimant
from app.testing.clock import START
from tests.contracts.backends import Backend
from tests.contracts.scenes import (
    AGENT,
    ask,
    begin,
    beside,
    cancel,
    end,
    finish,
    key,
    records,
    rid,
    suspended,
    turn,
    types,
    wait_in_line,
    who,
    whole,
)

KEY = key()


async def test_the_first_input_creates_the_session_and_claims_it(stores: Stores) -> None:
    claimed = await begin(stores, KEY, "r1", who("n"), text="hi", title="A talk", metadata={"a": "1"})
    created, queued, started = records(claimed.log)
    assert isinstance(created, SessionCreated)
    assert created.title == "A talk"
    assert isinstance(queued, RunQueued)
    assert (queued.run_id, queued.metadata) == (rid(), {"a": "1"})
    assert isinstance(started, RunStarted)
    assert (started.run_id, started.agent_digest, started.epoch) == (rid(), "digest of a", 1)
    assert (claimed.run_id, claimed.seq, claimed.claim) == (rid(), 2, Claim(1, who("n").nonce))
    assert claimed.log.state().messages == (Message(role="user", parts=(TextPart(text="hi"),)),)


async def test_what_it_returns_is_what_is_read_later(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    assert await whole(stores, KEY) == claimed.log
    head = claimed.log.head
    assert (head.status, head.owner, head.active, head.seq) == ("owned", "i", rid(), 3)


async def test_without_a_claimant_the_run_waits(stores: Stores) -> None:
    queued = await stores.sessions.submit(KEY, ask(), None)
    assert queued == Queued(ask().run_id, 2, ask().birth, ready=True)
    assert types((await whole(stores, KEY)).entries) == ["session.created", "run.queued"]


async def test_a_claimant_without_the_agent_does_not_get_it(stores: Stores) -> None:
    assert isinstance(await stores.sessions.submit(KEY, ask(), who(agents=["other"])), Queued)


async def test_an_input_to_a_busy_session_waits_behind_its_owner(stores: Stores) -> None:
    await begin(stores, KEY)
    queued = await stores.sessions.submit(KEY, ask("r2"), who("n2"))
    assert queued == Queued(ask("r2").run_id, 4, ask().birth, ready=False)
    assert (await whole(stores, KEY)).head.queue == (rid("r2"),)


async def test_an_input_behind_a_queue_waits_even_if_nobody_owns_the_session(stores: Stores) -> None:
    await stores.sessions.submit(KEY, ask("r1"), None)
    assert isinstance(await stores.sessions.submit(KEY, ask("r2"), who()), Queued)
    assert (await whole(stores, KEY)).head.queue == (rid("r1"), rid("r2"))


async def test_reject_names_the_active_run_and_writes_nothing(stores: Stores) -> None:
    await begin(stores, KEY)
    before = await whole(stores, KEY)
    with pytest.raises(SessionBusy) as caught:
        await stores.sessions.submit(KEY, ask("r2", policy=Busy.REJECT), who("n2"))
    assert caught.value.run_id == rid()
    assert await whole(stores, KEY) == before
    assert await stores.runs.find(KEY.tenant, ask("r2").run_id) is None


async def test_interrupt_cancels_the_active_run_and_waits(stores: Stores) -> None:
    await begin(stores, KEY)
    queued = await stores.sessions.submit(KEY, ask("r2", policy=Busy.INTERRUPT), who("n2"))
    log = await whole(stores, KEY)
    assert types(log.entries[3:]) == ["run.cancel_requested", "run.queued"]
    assert (queued.seq, log.head.cancelling, log.head.attention) == (5, True, 4)


async def test_steer_joins_the_active_run(stores: Stores) -> None:
    await begin(stores, KEY)
    joined = await stores.sessions.submit(KEY, ask("r2", policy=Busy.STEER), who("n2"))
    assert joined == Joined(ask("r1").run_id, 4, ask().birth)
    assert types((await whole(stores, KEY)).entries[3:]) == ["input.steered"]


async def test_steer_starts_a_run_of_its_own_in_an_idle_session(stores: Stores) -> None:
    await begin(stores, KEY, policy=Busy.STEER)


async def test_steer_waits_behind_a_run_that_is_being_cancelled(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.append(KEY, end(claimed.log), [cancel()])
    assert isinstance(await stores.sessions.submit(KEY, ask("r2", policy=Busy.STEER), None), Queued)


async def test_steer_wakes_a_suspended_run(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [suspended()], Release())
    assert (await whole(stores, KEY)).head.status == "suspended"
    assert isinstance(await stores.sessions.submit(KEY, ask("r2", policy=Busy.STEER), who("n2")), Joined)
    assert (await whole(stores, KEY)).head.status == "ready"


async def test_the_queue_is_bounded(stores: Stores) -> None:
    await begin(stores, KEY)
    for number in range(MAX_QUEUE):
        await stores.sessions.submit(KEY, ask(f"waiting{number}"), None)
    before = await whole(stores, KEY)
    with pytest.raises(QueueFull):
        await stores.sessions.submit(KEY, ask("more"), None)
    assert await whole(stores, KEY) == before


async def test_the_inputs_that_join_a_run_are_bounded(stores: Stores) -> None:
    await begin(stores, KEY)
    many = (stores.sessions.submit(KEY, ask(f"s{n}", policy=Busy.STEER), None) for n in range(MAX_STEERED))
    await asyncio.gather(*many)
    with pytest.raises(QueueFull):
        await stores.sessions.submit(KEY, ask("more", policy=Busy.STEER), None)


async def test_an_input_that_is_too_large_writes_nothing(stores: Stores, backend: Backend) -> None:
    with pytest.raises(RecordTooLarge):
        await stores.sessions.submit(KEY, ask(text="x" * 70_000), who())
    with pytest.raises(SessionNotFound):
        await stores.sessions.read(KEY)
    assert backend.footprint(KEY).bodies == ()


@pytest.mark.parametrize("policy", [Busy.ENQUEUE, Busy.STEER])
async def test_an_input_may_be_as_large_as_a_record(stores: Stores, policy: Busy) -> None:
    await begin(stores, KEY, "r1")
    bare = ask("r2", "", policy=policy)
    record = RunQueued(at=START, run_id=bare.run_id, input=bare.input)
    if policy is Busy.STEER:
        record = InputSteered(at=START, run_id=rid("r1"), input_id=bare.run_id, input=bare.input)
    room = MAX_RECORD_BYTES - len(encode_record(record))
    with pytest.raises(RecordTooLarge):
        await stores.sessions.submit(KEY, ask("r2", "x" * (room + 1), policy=policy), None)
    await stores.sessions.submit(KEY, ask("r2", "x" * room, policy=policy), None)
    assert len((await whole(stores, KEY)).entries[-1].body) == MAX_RECORD_BYTES


async def test_a_lost_reply_gives_the_claim_again(stores: Stores) -> None:
    first = await begin(stores, KEY, "r1", who("n"))
    assert await begin(stores, KEY, "r1", who("n")) == first


async def test_the_claim_comes_again_with_what_others_appended_since(stores: Stores) -> None:
    first = await begin(stores, KEY, "r1", who("n"))
    await stores.sessions.append(KEY, end(first.log), [cancel()])
    again = await begin(stores, KEY, "r1", who("n"))
    assert (again.claim, again.seq) == (first.claim, first.seq)
    assert again.log == await whole(stores, KEY)


@pytest.mark.parametrize("other", [who("n2"), who("n", "another incarnation"), None])
async def test_anyone_else_who_repeats_it_follows_the_run(stores: Stores, other: Claimant | None) -> None:
    await begin(stores, KEY, "r1", who("n"))
    before = await whole(stores, KEY)
    again = await stores.sessions.submit(KEY, ask(), other)
    assert again == Attached(ask().run_id, 2, ask().birth)
    assert await whole(stores, KEY) == before


async def test_a_repeat_after_the_run_ended_follows_it(stores: Stores) -> None:
    await turn(stores, KEY, by=who("n"))
    assert await stores.sessions.submit(KEY, ask(), who("n")) == Attached(ask().run_id, 2, ask().birth)


async def test_the_claim_is_given_again_for_the_run_it_was_given_for(stores: Stores) -> None:
    await turn(stores, KEY, "r1")
    await begin(stores, KEY, "r2", who("n2"))
    assert isinstance(await stores.sessions.submit(KEY, ask("r1"), who("n2")), Attached)


async def test_a_repeated_queued_input_keeps_its_place(stores: Stores) -> None:
    await begin(stores, KEY)
    first = await stores.sessions.submit(KEY, ask("r2"), None)
    assert await stores.sessions.submit(KEY, ask("r2"), None) == Attached(ask("r2").run_id, first.seq, ask().birth)
    assert (await whole(stores, KEY)).head.queue == (rid("r2"),)


async def test_a_repeated_steered_input_joins_once(stores: Stores) -> None:
    await begin(stores, KEY)
    steered = ask("r2", policy=Busy.STEER)
    await stores.sessions.submit(KEY, steered, None)
    assert await stores.sessions.submit(KEY, steered, None) == Attached(ask().run_id, 4, ask().birth)
    assert (await whole(stores, KEY)).head.steered == 1


async def test_a_run_id_belongs_to_one_session(stores: Stores) -> None:
    await begin(stores, KEY)
    with pytest.raises(InvalidInput):
        await stores.sessions.submit(key("other"), ask(), who())
    assert await stores.heads.peek([key("other")]) == {}


@pytest.mark.parametrize("run", ["", "r1", "run_", "run_r1", rid()[:-3], rid().upper(), f" {rid()}"])
async def test_a_run_id_names_its_session(stores: Stores, run: str) -> None:
    await begin(stores, KEY)
    before = await whole(stores, KEY)
    with pytest.raises(InvalidInput):
        await stores.sessions.submit(KEY, replace(ask(), run_id=RunId(run)), who())
    assert await whole(stores, KEY) == before


async def test_a_remembered_request_too_must_name_its_session(stores: Stores) -> None:
    await begin(stores, KEY, idempotency_key="k")
    with pytest.raises(InvalidInput):
        await stores.sessions.submit(KEY, ask(where=key("other"), idempotency_key="k"), who())


async def test_another_tenant_that_waits_comes_first(stores: Stores) -> None:
    await wait_in_line(stores, beside(KEY, tenant="other"))
    assert await stores.sessions.submit(KEY, ask(), who()) == Queued(ask().run_id, 2, ask().birth, ready=True)


async def test_a_session_of_the_own_tenant_that_waits_is_no_obstacle(stores: Stores) -> None:
    await wait_in_line(stores, beside(KEY))
    await begin(stores, KEY)


async def test_sessions_that_run_or_are_idle_are_no_obstacle(stores: Stores) -> None:
    await begin(stores, beside(KEY, "runs", tenant="other"))
    await turn(stores, beside(KEY, "idle", tenant="other"))
    await begin(stores, KEY)


async def test_a_session_that_needs_a_newer_reader_is_not_claimed(stores: Stores) -> None:
    assert isinstance(await stores.sessions.submit(KEY, ask(), who(reader=0)), Queued)


async def test_the_next_turn_claims_anew(stores: Stores) -> None:
    first = await begin(stores, KEY, "r1")
    await finish(stores, KEY, first)
    second = await begin(stores, KEY, "r2")
    assert (first.claim.epoch, second.claim.epoch) == (1, 2)
    assert types(second.log.entries[5:]) == ["run.queued", "run.started"]
    assert [message.text() for message in second.log.state().messages] == ["hi", "hello", "hi"]


async def test_two_at_once_make_one_claim(stores: Stores) -> None:
    both = await asyncio.gather(
        stores.sessions.submit(KEY, ask("r1", birth="b1"), who("n1", "i1")),
        stores.sessions.submit(KEY, ask("r2", birth="b2"), who("n2", "i2")),
    )
    assert sorted(type(outcome).__name__ for outcome in both) == ["Claimed", "Queued"]
    log = await whole(stores, KEY)
    assert {both[0].run_id, both[1].run_id} == {log.head.active, *log.head.queue}


async def test_the_same_at_once_is_one_run(stores: Stores) -> None:
    both = await asyncio.gather(*(stores.sessions.submit(KEY, ask(), who(f"n{n}", f"i{n}")) for n in range(2)))
    assert sorted(type(outcome).__name__ for outcome in both) == ["Attached", "Claimed"]
    assert types((await whole(stores, KEY)).entries).count("run.queued") == 1


async def test_keys_that_differ_in_any_part_are_other_sessions(stores: Stores) -> None:
    variants = [key(), key("x"), key(tenant="x"), key(user="x"), key(agent="x"), key("s/u", user=""), key("t%2Fu")]
    for number, where in enumerate(variants):
        claimant = who(f"n{number}", agents=[AGENT, "x"])
        claimed = await stores.sessions.submit(where, ask(where=where, title=str(number)), claimant)
        assert isinstance(claimed, Claimed)
    assert [(await whole(stores, where)).head.title for where in variants] == [str(n) for n in range(len(variants))]


async def test_a_withdrawn_run_is_known_all_the_same(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    withdrawn = InputWithdrawn(at=START, run_id=rid("r2"))
    await stores.sessions.append(KEY, Position(claimed.log.head.birth, 4), [withdrawn])
    assert isinstance(await stores.sessions.submit(KEY, ask("r2"), None), Attached)
