"""Between the look at a session and its adoption anything may happen to it; then it is not adopted as it was."""

from collections.abc import AsyncGenerator

import pytest

from app.core.ids import Birth
from app.core.state import FOLD_VERSION
from app.stores.base import Release
from app.stores.bundle import Stores
from app.stores.postgres.claims import PostgresClaims
from app.stores.postgres.database import Database
from app.stores.postgres.stores import open_postgres
from app.testing.clock import ManualClock
from tests.contracts.scenes import ask, begin, end, key, title, wait_in_line, who, whole
from tests.support.services.postgres import PostgresDatabase

KEY = key()


@pytest.fixture
async def stores(place: PostgresDatabase) -> AsyncGenerator[Stores]:
    async with open_postgres(place.url, ManualClock()) as opened:
        yield opened


@pytest.fixture
def claims(database: Database) -> PostgresClaims:
    return PostgresClaims(database, ManualClock(), FOLD_VERSION, lambda: None)


async def test_what_is_as_it_was_read_is_adopted(stores: Stores, claims: PostgresClaims) -> None:
    await wait_in_line(stores, KEY)
    taken = await claims.adopt(KEY, await claims.load(KEY), who())
    assert taken is not None
    assert taken.log == await whole(stores, KEY)


async def test_a_log_that_grew_is_not_adopted(stores: Stores, claims: PostgresClaims) -> None:
    await wait_in_line(stores, KEY)
    log = await claims.load(KEY)
    await stores.sessions.append(KEY, end(log), [title("later")])
    assert await claims.adopt(KEY, log, who()) is None
    assert (await whole(stores, KEY)).head.status == "ready"


async def test_a_session_that_another_took_is_not_adopted(stores: Stores, claims: PostgresClaims) -> None:
    await wait_in_line(stores, KEY)
    log = await claims.load(KEY)
    (taken,) = await stores.sessions.take(who("n1", "other"), 1, [])
    assert await claims.adopt(KEY, log, who()) is None
    assert await claims.adopt(KEY, taken.log, who()) is None
    assert (await whole(stores, KEY)).head.claim == taken.claim


async def test_a_claim_that_came_and_went_is_noticed(stores: Stores, claims: PostgresClaims) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [], Release())
    log = await claims.load(KEY)
    (taken,) = await stores.sessions.take(who("n1", "other"), 1, [])
    await stores.sessions.commit(KEY, taken.claim, 1, 3, [], Release())
    assert await claims.adopt(KEY, log, who()) is None


async def test_another_log_under_the_same_key_is_not_adopted(stores: Stores, claims: PostgresClaims) -> None:
    await wait_in_line(stores, KEY)
    log = await claims.load(KEY)
    await stores.sessions.delete(KEY)
    await stores.sessions.submit(KEY, ask("r2", birth="b2"), None)
    assert await claims.adopt(KEY, log, who()) is None
    assert (await whole(stores, KEY)).head.birth == Birth("b2")


async def test_a_deleted_session_is_not_adopted(stores: Stores, claims: PostgresClaims) -> None:
    await wait_in_line(stores, KEY)
    log = await claims.load(KEY)
    await stores.sessions.delete(KEY)
    assert await claims.adopt(KEY, log, who()) is None


async def test_what_the_claimant_cannot_run_is_not_adopted(stores: Stores, claims: PostgresClaims) -> None:
    await wait_in_line(stores, KEY)
    log = await claims.load(KEY)
    assert await claims.adopt(KEY, log, who(agents=["other"])) is None
    assert await claims.adopt(KEY, log, who(reader=0)) is None
