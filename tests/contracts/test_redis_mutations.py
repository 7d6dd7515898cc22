"""The suite can fail: it notices mistakes in the Lua, one line each, and none where there is none."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha1
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from app.core.errors import BatonError
from app.core.ids import Nonce
from app.stores.head import Claim
from app.stores.redis import connection
from app.stores.redis.scripts import Script, load_scripts
from app.testing.clock import ManualClock
from tests.contracts import (
    test_runs,
    test_sessions_append,
    test_sessions_commit,
    test_sessions_corrupt,
    test_sessions_delete,
    test_sessions_idempotency,
    test_sessions_list,
    test_sessions_submit,
    test_sessions_take,
)
from tests.contracts.backends import RedisBackend
from tests.properties.machine import machine_over
from tests.unit.stores.redis import test_claims

NOTICED = (AssertionError, BatonError, pytest.fail.Exception)
SEEDED = settings(
    max_examples=60,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
"""The same examples each time; these mistakes are noticed within the first few."""

Test = Callable[..., Awaitable[None]]


class Mutation(NamedTuple):
    """Lua that is replaced, and a test of the suite that says so, with what else it wants to be given."""

    old: str
    new: str
    test: Test
    given: Mapping[str, Any] = {}


MUTATIONS = {
    "the claim's nonce is ignored": Mutation(
        "claim.epoch == head.epoch and claim.nonce == head.nonce\n",
        "claim.epoch == head.epoch\n",
        test_sessions_commit.test_another_claim_writes_nothing,
        {"claim": Claim(1, Nonce("forged"))},
    ),
    "the claim's epoch is ignored": Mutation(
        "head.owner and claim.epoch == head.epoch and claim.nonce",
        "head.owner and claim.nonce",
        test_sessions_commit.test_another_claim_writes_nothing,
        {"claim": Claim(0, Nonce("n"))},
    ),
    "a repeat is not recognised": Mutation(
        "if last then return answer('repeated'",
        "if false then return answer('repeated'",
        test_sessions_commit.test_a_lost_reply_is_given_again,
    ),
    "a number may be taken twice": Mutation(
        "if not in_force or ask.number <= head.commits then",
        "if not in_force then",
        test_sessions_commit.test_an_older_number_is_not_a_repeat,
    ),
    "a number may be skipped": Mutation(
        "if ask.number > head.commits + 1 or ask.seen > head.seq",
        "if ask.seen > head.seq",
        test_sessions_commit.test_a_log_that_is_behind_its_runner_has_regressed,
        {"number": 2, "seen": 3},
    ),
    "a runner may have seen more than there is": Mutation(
        "if ask.number > head.commits + 1 or ask.seen > head.seq",
        "if ask.number > head.commits + 1",
        test_sessions_commit.test_a_log_that_is_behind_its_runner_has_regressed,
        {"number": 1, "seen": 4},
    ),
    "an heir gets what another tenant waits for": Mutation(
        "if ask.heir and contended() then ask.heir = nil end",
        "",
        test_sessions_commit.test_another_tenant_that_waits_comes_before_the_heir,
    ),
    "an input gets what another tenant waits for": Mutation(
        "ask.claimant and contended()",
        "false",
        test_sessions_submit.test_another_tenant_that_waits_comes_first,
    ),
    "an older reader may claim": Mutation(
        "claimant.reader >= head.min_reader and",
        "",
        test_sessions_append.test_a_record_for_newer_readers_keeps_the_older_ones_away,
    ),
    "what is broken is claimed": Mutation(
        "if not readable(tail, seq - start) then return {'corrupt'} end",
        "",
        test_sessions_corrupt.test_trap_load_error_never_starts_a_fresh_state,
    ),
    "a deleted log may begin again": Mutation(
        "if redis.call('EXISTS', KEYS[11]) == 1 then return nil, {'erased'} end",
        "",
        test_sessions_delete.test_what_was_deleted_does_not_come_back,
    ),
    "idempotency keys are kept for ever": Mutation(
        "if redis.call('ZCARD', REQUEST_ORDER) > IDEMPOTENCY_KEPT then",
        "if false then",
        test_sessions_idempotency.test_trap_storage_grows_without_bound_in_idempotency_keys,
    ),
    "a session is not listed": Mutation(
        "for list = 12, 13 do redis.call('ZADD', KEYS[list], 0, member) end",
        "",
        test_sessions_list.test_the_newest_come_first,
    ),
    "a run does not end in the index": Mutation(
        "['run.finished'] = function(record) move_run(record.run, record.status, record.seq) end,",
        "",
        test_runs.test_a_run_that_ended_tells_how_and_where,
        {"status": "failed"},
    ),
    "what is taken stays ready": Mutation(
        "if filed.ready_at then unfile_ready() end",
        "",
        test_sessions_delete.test_it_is_neither_taken_nor_swept_nor_in_the_way,
    ),
    "the swept are not marked as orphans": Mutation(
        "head.epoch, head.orphaned = head.epoch + 1, true",
        "head.epoch = head.epoch + 1",
        test_sessions_take.test_a_sweep_makes_the_sessions_of_the_dead_ready,
    ),
    "a sweep takes from anybody": Mutation(
        "if not head or head.owner ~= ARGV[1] then return 0 end",
        "if not head then return 0 end",
        test_claims.test_a_sweep_leaves_what_has_another_owner_by_now,
    ),
    "what was read is not compared": Mutation(
        "if not same or head.nonce ~= ask.nonce or",
        "if",
        test_claims.test_what_has_grown_since_it_was_read_is_not_adopted,
    ),
}

TO_THE_MACHINE = {
    "there is no fence": (
        "local in_force = head.owner and claim.epoch == head.epoch and claim.nonce == head.nonce",
        "local in_force = true",
    ),
    "a release need not have seen anything": ("if ends(ask) and head.attention > ask.seen then", "if false then"),
    "the dead keep their claims": ("head.owner, head.nonce, head.commits = nil, '', 0\n", "head.commits = 0\n"),
    "what is ready is not indexed": ("if head.ready_at then file_ready(head.ready_at) end", ""),
    "who owns what is not indexed": ("if head.owner then file_owner(head.owner, head.nonce) end", ""),
    "who owned what stays in the index": ("if filed.owner then unfile_owner(filed.owner) end", ""),
    "epochs do not rise": ("head.epoch + 1, claimant.nonce, claimant.incarnation", "head.epoch, claimant.nonce, ''"),
    "a run id is not recognised": ("if known then return again(head, known, ask) end", ""),
    "a busy session may be claimed": ("if not busy and not contended and ask.claimant", "if ask.claimant"),
}


def mistaken(patch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Whoever opens Redis from now on gets scripts with that mistake."""
    scripts = {name: script.text.replace(old, new) for name, script in load_scripts().items()}
    assert any(scripts[name] != script.text for name, script in load_scripts().items()), f"there is no {old!r}"
    changed = {name: Script(text, sha1(text.encode()).hexdigest()) for name, text in scripts.items()}
    patch.setattr(connection, "load_scripts", lambda: changed)


async def play(mutation: Mutation) -> None:
    """Runs the mutation's test over Redis."""
    backend, clock = RedisBackend(), ManualClock()
    async with backend.open(clock) as stores:
        given = {"backend": backend, "clock": clock, "stores": stores, **mutation.given}
        wanted = inspect.signature(mutation.test).parameters
        await mutation.test(**{name: given[name] for name in wanted})


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_mistake_is_noticed_by_the_suite(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await play(MUTATIONS[name])
    mistaken(monkeypatch, *MUTATIONS[name][:2])
    with pytest.raises(NOTICED):
        await play(MUTATIONS[name])


@pytest.mark.parametrize("name", TO_THE_MACHINE)
def test_a_mistake_is_noticed_by_the_state_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mistaken(monkeypatch, *TO_THE_MACHINE[name])
    with pytest.raises(NOTICED):
        run_state_machine_as_test(machine_over(RedisBackend), settings=SEEDED)


def test_without_a_mistake_the_same_examples_pass() -> None:
    run_state_machine_as_test(machine_over(RedisBackend), settings=settings(SEEDED, max_examples=30))
