"""`commit`: a runner's records, under its claim, once."""

import asyncio

import pytest
from msgspec.structs import replace

from app.core.errors import LogRegressed, RecordTooLarge, StaleClaim, Unseen
from app.core.ids import Nonce
from app.core.records import Busy
from app.stores.base import Claimed, Committed, Release
from app.stores.bundle import Stores
from app.stores.head import Claim, Claimant
from tests.contracts.scenes import (
    answer,
    ask,
    begin,
    beside,
    cancel,
    done,
    end,
    finish,
    key,
    rid,
    suspended,
    title,
    turn,
    types,
    wait_in_line,
    who,
    whole,
)

KEY = key()


async def test_the_records_follow_the_log(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    first = await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    second = await stores.sessions.commit(KEY, claimed.claim, 2, 4, [title("x"), title("y")])
    assert [entry.seq for entry in (*first.written, *second.written)] == [4, 5, 6]
    assert (first.seq, second.seq, first.status, first.unseen, first.handed) == (4, 6, "owned", (), None)
    log = await whole(stores, KEY)
    assert log.entries[3:] == first.written + second.written
    assert log.head.title == "y"


async def test_a_commit_without_records_writes_none(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    assert await stores.sessions.commit(KEY, claimed.claim, 1, 3, []) == Committed(3, "owned", (), ())


async def test_what_others_wrote_comes_back_in_order(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2", policy=Busy.STEER), None)
    await stores.sessions.append(KEY, replace(end(claimed.log), seq=4), [cancel()])
    committed = await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    assert types(committed.unseen) == ["input.steered", "run.cancel_requested"]
    assert [entry.seq for entry in committed.unseen + committed.written] == [4, 5, 6]
    later = await stores.sessions.commit(KEY, claimed.claim, 2, 6, [answer()])
    assert later.unseen == ()


async def test_a_release_lets_go(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    committed = await finish(stores, KEY, claimed)
    head = (await whole(stores, KEY)).head
    assert (committed.status, head.status, head.owner, head.active) == ("idle", "idle", None, None)


async def test_a_suspended_run_holds_no_claim(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    committed = await stores.sessions.commit(KEY, claimed.claim, 1, 3, [suspended()], Release(who("n2")))
    assert (committed.status, committed.handed) == ("suspended", None)


async def test_a_runner_that_gives_up_leaves_the_session_ready(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    committed = await stores.sessions.commit(KEY, claimed.claim, 1, 3, [], Release())
    assert committed.status == "ready"


@pytest.mark.parametrize("claim", [Claim(1, Nonce("forged")), Claim(0, Nonce("n")), Claim(2, Nonce("n"))])
async def test_another_claim_writes_nothing(stores: Stores, claim: Claim) -> None:
    claimed = await begin(stores, KEY, by=who("n"))
    with pytest.raises(StaleClaim):
        await stores.sessions.commit(KEY, claim, 1, 3, [answer()])
    assert await whole(stores, KEY) == claimed.log


async def test_a_claim_ends_with_its_release(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await finish(stores, KEY, claimed)
    for number in (2, 3):
        with pytest.raises(StaleClaim):
            await stores.sessions.commit(KEY, claimed.claim, number, 5, [answer()])


async def test_an_absent_session_has_no_claims(stores: Stores) -> None:
    with pytest.raises(StaleClaim):
        await stores.sessions.commit(KEY, Claim(1, Nonce("n")), 1, 0, [answer()])


async def test_an_older_number_is_not_a_repeat(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    await stores.sessions.commit(KEY, claimed.claim, 2, 4, [answer()])
    with pytest.raises(StaleClaim):
        await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])


@pytest.mark.parametrize(("number", "seen"), [(2, 3), (1, 4)])
async def test_a_log_that_is_behind_its_runner_has_regressed(stores: Stores, number: int, seen: int) -> None:
    claimed = await begin(stores, KEY)
    with pytest.raises(LogRegressed):
        await stores.sessions.commit(KEY, claimed.claim, number, seen, [answer()])
    assert await whole(stores, KEY) == claimed.log


async def test_records_that_are_too_large_write_nothing(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    with pytest.raises(RecordTooLarge):
        await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer(), answer(text="x" * 70_000)])
    assert await whole(stores, KEY) == claimed.log
    await finish(stores, KEY, claimed)


async def test_a_lost_reply_is_given_again(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2", policy=Busy.STEER), None)
    first = await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    assert await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()]) == first
    assert (await whole(stores, KEY)).head.seq == 5


async def test_it_is_given_again_as_it_was_though_the_session_went_on(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    first = await finish(stores, KEY, claimed)
    await begin(stores, KEY, "r2")
    assert await finish(stores, KEY, claimed) == first


async def test_a_lost_handover_is_given_again(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    first = await _hand_over(stores, claimed)
    await stores.sessions.submit(KEY, ask("r3"), None)
    assert await _hand_over(stores, claimed) == first


async def _hand_over(stores: Stores, claimed: Claimed, seen: int = 4) -> Committed:
    records = [answer(seen=seen), done()]
    return await stores.sessions.commit(KEY, claimed.claim, 1, seen, records, Release(who("heir", "i2")))


async def test_the_heir_gets_the_queued_run(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    committed = await _hand_over(stores, claimed)
    assert types(committed.written) == ["message.appended", "run.finished", "run.started"]
    assert (committed.handed, committed.status, committed.seq) == (Claim(2, Nonce("heir")), "owned", 7)
    head = (await whole(stores, KEY)).head
    assert (head.owner, head.active, head.queue, head.claim) == ("i2", rid("r2"), (), committed.handed)
    await stores.sessions.commit(KEY, Claim(2, Nonce("heir")), 1, 7, [done("r2")], Release())


async def test_the_heir_gets_nothing_where_nothing_waits(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    committed = await _hand_over(stores, claimed, seen=3)
    assert (committed.handed, committed.status) == (None, "idle")


async def test_without_an_heir_the_queued_run_is_ready(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    committed = await stores.sessions.commit(KEY, claimed.claim, 1, 4, [answer(), done()], Release())
    assert (committed.status, committed.handed) == ("ready", None)


@pytest.mark.parametrize("heir", [who("n2", agents=["other"]), who("n2", reader=0)])
async def test_an_heir_that_cannot_run_it_does_not_get_it(stores: Stores, heir: Claimant) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    release = Release(heir)
    committed = await stores.sessions.commit(KEY, claimed.claim, 1, 4, [answer(), done()], release)
    assert (committed.status, committed.handed) == ("ready", None)


async def test_another_tenant_that_waits_comes_before_the_heir(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    await wait_in_line(stores, beside(KEY, tenant="other"))
    committed = await _hand_over(stores, claimed)
    assert (committed.status, committed.handed) == ("ready", None)


@pytest.mark.parametrize("policy", [Busy.STEER, Busy.INTERRUPT])
async def test_nobody_lets_go_of_what_it_has_not_seen(stores: Stores, policy: Busy) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2", policy=policy), None)
    before = await whole(stores, KEY)
    with pytest.raises(Unseen) as caught:
        await finish(stores, KEY, claimed)
    assert tuple(caught.value.entries) == before.entries[3:]
    assert await whole(stores, KEY) == before


async def test_what_was_unseen_did_not_use_the_number_up(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2", policy=Busy.STEER), None)
    with pytest.raises(Unseen):
        await finish(stores, KEY, claimed)
    committed = await stores.sessions.commit(KEY, claimed.claim, 1, 4, [answer(seen=4), done()], Release())
    assert (committed.status, types(committed.written)) == ("idle", ["message.appended", "run.finished"])


async def test_an_input_that_only_waits_does_not_hold_the_release_up(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.submit(KEY, ask("r2"), None)
    committed = await finish(stores, KEY, claimed)
    assert (committed.status, types(committed.unseen)) == ("ready", ["run.queued"])


async def test_a_step_may_be_committed_before_a_cancel_is_seen(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.append(KEY, end(claimed.log), [cancel()])
    committed = await stores.sessions.commit(KEY, claimed.claim, 1, 3, [answer()])
    assert types(committed.unseen) == ["run.cancel_requested"]


async def test_a_commit_twice_at_once_is_one(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    first, second = await asyncio.gather(finish(stores, KEY, claimed), finish(stores, KEY, claimed))
    assert first == second
    assert (await whole(stores, KEY)).head.seq == 5


async def test_a_commit_and_a_submission_at_once_strand_nothing(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await asyncio.gather(finish(stores, KEY, claimed), stores.sessions.submit(KEY, ask("r2"), who("n2")))
    head = (await whole(stores, KEY)).head
    assert (head.status, {head.active, *head.queue} - {None}) in (("ready", {rid("r2")}), ("owned", {rid("r2")}))


async def test_the_next_claim_counts_its_commits_from_one(stores: Stores) -> None:
    await turn(stores, KEY, "r1")
    await turn(stores, KEY, "r2")
    assert (await whole(stores, KEY)).head.epoch == 2
