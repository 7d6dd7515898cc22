"""The contract suite can fail over Postgres: it notices every small mistake that is put into a function of the schema.

Each mistake is one change to one function's text, made in a database of its own, and names the contract test that it
must turn red. That the same tests pass without the mistakes is said here too.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec import Struct

from app.core.errors import BatonError
from app.core.ids import Nonce
from app.core.records import Busy
from app.core.state import FOLD_VERSION
from app.stores.head import Claim
from app.stores.postgres.claims import PostgresClaims
from app.stores.postgres.database import Database, open_database
from app.testing.clock import ManualClock
from tests.contracts import test_sessions_append as append
from tests.contracts import test_sessions_commit as commit
from tests.contracts import test_sessions_corrupt as corrupt
from tests.contracts import test_sessions_delete as delete
from tests.contracts import test_sessions_idempotency as idempotency
from tests.contracts import test_sessions_loss as loss
from tests.contracts import test_sessions_read as read
from tests.contracts import test_sessions_submit as submit
from tests.contracts import test_sessions_take as take
from tests.contracts.backend_postgres import PostgresBackend, Shelf
from tests.properties.machine import machine_over
from tests.support.services.postgres import postgres
from tests.unit.stores.postgres import test_adopting as adopting

Test = Callable[..., Awaitable[None]]


class Mutation(Struct, frozen=True):
    """In that function, what is true is false; the test notices. `given`: its parameters, if it has any."""

    function: str
    true: str
    false: str
    noticed_by: Test
    given: dict[str, Any] = {}


FENCE = "(head.epoch, head.nonce) <> (p_epoch, p_nonce)"
COMPARED = "(found.birth, found.epoch, found.seq) IS DISTINCT FROM (p_birth, p_epoch, p_seq)"
MUTATIONS = {
    "drop the fence": Mutation(
        "commit_refusal", FENCE, "false", commit.test_another_claim_writes_nothing, {"claim": Claim(2, Nonce("n"))}
    ),
    "ignore the nonce": Mutation(
        "commit_refusal", FENCE, "head.epoch <> p_epoch", delete.test_the_old_claim_is_stale_in_the_new_log
    ),
    "a release keeps the owner": Mutation("let_go", "head.owner := NULL", "NULL", commit.test_a_release_lets_go),
    "skip the repeat check": Mutation(
        "is_repeat", "RETURN head.last @>", "RETURN false AND head.last @>", commit.test_a_lost_reply_is_given_again
    ),
    "accept a skipped number": Mutation(
        "commit_refusal",
        "p_number > head.commits + 1 OR",
        "",
        loss.test_it_learns_so_though_others_filled_the_gap,
    ),
    "accept what was seen beyond the log": Mutation(
        "commit_refusal",
        "OR p_seen > head.seq",
        "",
        commit.test_a_log_that_is_behind_its_runner_has_regressed,
        {"number": 1, "seen": 4},
    ),
    "ignore attention": Mutation(
        "commit_refusal",
        "head.attention > p_seen",
        "false",
        commit.test_nobody_lets_go_of_what_it_has_not_seen,
        {"policy": Busy.STEER},
    ),
    "orphan keeps the claim": Mutation(
        "orphan",
        "head := baton.let_go(head, at)",
        "NULL",
        take.test_a_sweep_makes_the_sessions_of_the_dead_ready,
    ),
    "contended false": Mutation(
        "contended", "RETURN found", "RETURN false", submit.test_another_tenant_that_waits_comes_first
    ),
    "adopt without comparing": Mutation("adopt_v1", COMPARED, "false", adopting.test_a_log_that_grew_is_not_adopted),
    "adopt what another has": Mutation(
        "is_adoptable",
        "baton.status(head) = 'ready' OR head.owner = claimant.incarnation",
        "true",
        adopting.test_a_session_that_another_took_is_not_adopted,
    ),
    "take the newest first": Mutation(
        "candidates_v1", "ORDER BY s.ready_at, s.id", "ORDER BY s.id DESC", take.test_it_gives_no_more_than_the_slots
    ),
    "claim what cannot be read": Mutation(
        "is_readable", "RETURN false", "RETURN true", corrupt.test_trap_load_error_never_starts_a_fresh_state
    ),
    "ignore the tombstone": Mutation(
        "is_erased", "RETURN EXISTS", "RETURN false AND EXISTS", delete.test_what_was_deleted_does_not_come_back
    ),
    "append without comparing": Mutation(
        "append_v1",
        "(head.birth, head.seq) <> (p_birth, p_expected)",
        "false",
        append.test_of_two_at_once_one_is_written,
    ),
    "keep every checkpoint": Mutation(
        "keep", "OFFSET 2", "OFFSET 20", read.test_trap_storage_grows_without_bound_in_checkpoints
    ),
    "ignore the idempotency key": Mutation(
        "remembered",
        "p_idempotency IS NOT NULL",
        "false",
        idempotency.test_the_same_request_twice_at_once_is_one_run,
    ),
}
EACH = pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS.keys())


@cache
def scratch() -> Shelf:
    """Gives a database that may be spoilt."""
    return Shelf(postgres().database())


class Scratch(PostgresBackend):
    """Postgres, perhaps with a mistake in it."""

    def place(self) -> Shelf:
        return scratch()


@contextmanager
def mutated(mutation: Mutation) -> Generator[None]:
    """The function makes that mistake, inside."""
    connection = scratch().connection
    named = "SELECT pg_get_functiondef(('baton.' || %s)::regproc)"
    ((definition,),) = connection.execute(named, (mutation.function,)).fetchall()
    assert definition.count(mutation.true) == 1, f"{mutation.function} does not say {mutation.true!r} once"
    connection.execute(definition.replace(mutation.true, mutation.false))
    try:
        yield
    finally:
        connection.execute(definition)


async def prove(mutation: Mutation, fixtures: dict[str, Any]) -> None:
    """Runs the mutation's test."""
    known = fixtures | mutation.given
    await mutation.noticed_by(**{name: known[name] for name in inspect.signature(mutation.noticed_by).parameters})


@pytest.fixture
async def database() -> AsyncGenerator[Database]:
    async with open_database(scratch().database.url, pool=2) as opened:
        yield opened


@pytest.fixture
async def fixtures(clock: ManualClock, database: Database) -> AsyncGenerator[dict[str, Any]]:
    """Gives what contract tests ask for."""
    backend = Scratch()
    claims = PostgresClaims(database, clock, FOLD_VERSION, lambda: None)
    async with backend.open(clock) as stores:
        yield {"stores": stores, "backend": backend, "clock": clock, "claims": claims}


@EACH
async def test_a_mistake_is_noticed(mutation: Mutation, fixtures: dict[str, Any]) -> None:
    with mutated(mutation), pytest.raises((AssertionError, BatonError, pytest.fail.Exception)):
        await prove(mutation, fixtures)


@EACH
async def test_without_the_mistake_the_same_test_passes(mutation: Mutation, fixtures: dict[str, Any]) -> None:
    await prove(mutation, fixtures)


def test_the_state_machine_notices_one_too() -> None:
    seeded = settings(
        max_examples=200, stateful_step_count=30, derandomize=True, database=None, phases=[Phase.generate]
    )
    with mutated(MUTATIONS["ignore the nonce"]), pytest.raises((AssertionError, BatonError)):
        run_state_machine_as_test(machine_over(Scratch), settings=seeded)


def test_the_scratch_database_is_another_one() -> None:
    assert scratch().database.name != PostgresBackend().place().database.name
