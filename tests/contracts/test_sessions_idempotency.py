"""Idempotency keys: the same request, however often it comes."""

import asyncio

import pytest

from app.core.errors import IdempotencyMismatch, SessionBusy
from app.core.records import Busy
from app.stores.base import IDEMPOTENCY_KEPT, IDEMPOTENCY_SECONDS, Attached, Claimed, Joined, Queued
from app.stores.bundle import Stores
from app.stores.head import Submission
from app.testing.clock import ManualClock
from tests.contracts.backends import Backend
from tests.contracts.scenes import ask, begin, key, turn, types, who, whole

KEY = key()


@pytest.fixture
async def first(stores: Stores) -> Claimed:
    """Gives the answer to the first request under key `k`."""
    return await begin(stores, KEY, "r1", who("n"), idempotency_key="k", fingerprint="body")


async def test_another_run_id_under_the_same_key_is_the_first_run(stores: Stores, first: Claimed) -> None:
    again = await stores.sessions.submit(KEY, ask("r2", idempotency_key="k", fingerprint="body"), who("n2"))
    assert again == Attached(first.run_id, first.seq, ask().birth)
    assert await stores.runs.find(KEY.tenant, ask("r2").run_id) is None


async def test_the_claimant_gets_its_claim_again(stores: Stores, first: Claimed) -> None:
    assert await begin(stores, KEY, "r1", who("n"), idempotency_key="k", fingerprint="body") == first


async def test_another_body_under_the_same_key_is_refused(stores: Stores, first: Claimed) -> None:
    for run in ("r1", "r2"):
        with pytest.raises(IdempotencyMismatch):
            await stores.sessions.submit(KEY, ask(run, idempotency_key="k", fingerprint="other"), who("n"))
    assert await whole(stores, KEY) == first.log


async def test_another_key_is_another_request(stores: Stores, first: Claimed) -> None:
    second = await stores.sessions.submit(KEY, ask("r2", idempotency_key="k2", fingerprint="body"), None)
    assert isinstance(second, Queued)


async def test_another_session_has_its_own_keys(stores: Stores, first: Claimed) -> None:
    await begin(stores, key("other"), idempotency_key="k", fingerprint="other")


async def test_a_run_id_is_recognised_without_its_key(stores: Stores, first: Claimed) -> None:
    assert isinstance(await stores.sessions.submit(KEY, ask("r1"), None), Attached)


async def test_a_steered_input_is_recognised_by_its_key(stores: Stores, first: Claimed) -> None:
    joined = await stores.sessions.submit(KEY, ask("r2", policy=Busy.STEER, idempotency_key="k2"), None)
    again = await stores.sessions.submit(KEY, ask("r3", policy=Busy.STEER, idempotency_key="k2"), None)
    assert isinstance(joined, Joined)
    assert again == Attached(joined.run_id, joined.seq, joined.birth)


async def test_a_key_is_forgotten_after_a_day(stores: Stores, clock: ManualClock, first: Claimed) -> None:
    clock.advance(IDEMPOTENCY_SECONDS - 1)
    assert isinstance(await stores.sessions.submit(KEY, _again("r2"), None), Attached)
    clock.advance(1)
    assert isinstance(await stores.sessions.submit(KEY, _again("r2", "other"), None), Queued)
    assert await stores.sessions.submit(KEY, _again("r3", "other"), None) == Attached(ask("r2").run_id, 4, ask().birth)


def _again(run: str, fingerprint: str = "body") -> Submission:
    return ask(run, idempotency_key="k", fingerprint=fingerprint)


async def test_the_run_id_is_recognised_for_as_long_as_the_session_lives(
    stores: Stores, clock: ManualClock, first: Claimed
) -> None:
    clock.advance(10 * IDEMPOTENCY_SECONDS)
    assert isinstance(await stores.sessions.submit(KEY, _again("r1", "other"), None), Attached)


async def test_a_refused_request_does_not_use_its_key_up(stores: Stores, first: Claimed) -> None:
    refused = ask("r2", policy=Busy.REJECT, idempotency_key="k2", fingerprint="one")
    with pytest.raises(SessionBusy):
        await stores.sessions.submit(KEY, refused, None)
    assert isinstance(
        await stores.sessions.submit(KEY, ask("r3", idempotency_key="k2", fingerprint="two"), None), Queued
    )


async def test_a_deleted_session_forgets_its_keys(stores: Stores, first: Claimed) -> None:
    await stores.sessions.delete(KEY)
    await begin(stores, KEY, "r2", birth="b2", idempotency_key="k", fingerprint="other")


async def test_the_same_request_twice_at_once_is_one_run(stores: Stores) -> None:
    await turn(stores, KEY, "r0")
    twice = (ask(run, idempotency_key="k", fingerprint="body") for run in ("r1", "r2"))
    outcomes = await asyncio.gather(*(stores.sessions.submit(KEY, request, who(request.run_id)) for request in twice))
    assert len({outcome.run_id for outcome in outcomes}) == 1
    assert types((await whole(stores, KEY)).entries).count("run.queued") == 2


async def test_trap_storage_grows_without_bound_in_idempotency_keys(stores: Stores, backend: Backend) -> None:
    """Idempotency keys were kept for ever."""
    await begin(stores, KEY, "r0", idempotency_key="k0")
    for number in range(1, IDEMPOTENCY_KEPT + 1):
        await stores.sessions.submit(KEY, _steer(number, f"k{number}"), None)
    assert backend.footprint(KEY).requests == IDEMPOTENCY_KEPT
    assert isinstance(await stores.sessions.submit(KEY, _steer(900, "k1"), None), Attached)
    assert isinstance(await stores.sessions.submit(KEY, ask("r901", idempotency_key="k0"), None), Queued)


def _steer(number: int, idempotency_key: str) -> Submission:
    return ask(f"r{number}", policy=Busy.STEER, idempotency_key=idempotency_key)
