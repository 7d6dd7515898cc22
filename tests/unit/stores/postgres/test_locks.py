"""Two transactions at one session: the second waits, and decides on what the first has left.

The first one is held open by hand, so that its successor is caught waiting and no test depends on luck.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, TypeVar

import psycopg
import pytest

from app.core.errors import SessionNotFound
from app.core.ids import Incarnation
from app.core.keys import SessionKey
from app.stores.base import Claimed, Queued
from app.stores.bundle import Stores
from app.stores.postgres.stores import open_postgres
from app.testing.clock import ManualClock
from tests.contracts.scenes import ask, begin, key, turn, who, whole
from tests.support.services.postgres import PostgresDatabase

T = TypeVar("T")
KEY = key()
SECONDS = 10.0
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
LOCKED = "SELECT 1 FROM baton.sessions WHERE session = %s FOR UPDATE"
DELETED = "SELECT baton.delete_v1(%s, %s, NULL)"
INSERTED = """
INSERT INTO baton.sessions (tenant, usr, agent, session, digest, partition, birth, created_at, updated_at)
VALUES (%s, %s, %s, %s, %s, 0, 'another birth', 0, 0)
"""


@pytest.fixture
async def stores(place: PostgresDatabase) -> AsyncGenerator[Stores]:
    async with open_postgres(place.url, ManualClock()) as opened:
        yield opened


@pytest.fixture
def first(place: PostgresDatabase) -> Generator["psycopg.Connection[tuple[Any, ...]]"]:
    """Gives a transaction that goes first, and ends when it is told to."""
    with psycopg.connect(place.superuser_url) as connection:
        yield connection
        connection.rollback()


async def waits_for(place: PostgresDatabase, second: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Gives the call once it waits for a lock."""
    task = asyncio.ensure_future(second)
    async with asyncio.timeout(SECONDS):
        while not place.run(WAITING, place.name):
            assert not task.done(), "it did not wait"
            await asyncio.sleep(0.01)
    return task


def parts(where: SessionKey) -> tuple[str, ...]:
    return (where.tenant, where.user, where.agent, where.session, where.digest())


async def test_a_request_that_waits_for_a_deletion_does_not_bring_the_log_back(
    stores: Stores, place: PostgresDatabase, first: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    await turn(stores, KEY)
    first.execute(DELETED, (KEY.tenant, KEY.digest()))
    late = await waits_for(place, stores.sessions.submit(KEY, ask("r1"), who()))
    first.commit()
    with pytest.raises(SessionNotFound):
        await late
    with pytest.raises(SessionNotFound):
        await stores.sessions.read(KEY)


async def test_a_first_input_that_waits_for_another_one_goes_to_the_same_log(
    stores: Stores, place: PostgresDatabase, first: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    first.execute(INSERTED, parts(KEY))
    second = await waits_for(place, stores.sessions.submit(KEY, ask("r1"), None))
    first.commit()
    assert isinstance(await second, Queued)
    assert (await whole(stores, KEY)).head.birth == "another birth"


async def test_a_first_input_that_waited_in_vain_begins_the_log_itself(
    stores: Stores, place: PostgresDatabase, first: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    first.execute(INSERTED, parts(KEY))
    second = await waits_for(place, stores.sessions.submit(KEY, ask("r1"), who()))
    first.rollback()
    assert isinstance(await second, Claimed)
    assert (await whole(stores, KEY)).head.birth == ask().birth


async def test_a_sweep_waits_for_a_session_that_somebody_writes_to(
    stores: Stores, place: PostgresDatabase, first: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    await begin(stores, KEY, by=who("n", "dead"))
    first.execute(LOCKED, (KEY.session,))
    sweep = await waits_for(place, stores.sessions.sweep(Incarnation("dead"), 10))
    first.commit()
    assert await sweep == 1
