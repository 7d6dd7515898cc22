"""Who is alive, by the database's own clock."""

import pytest

from app.core.errors import ReplicaDead
from app.core.ids import Incarnation
from app.stores.postgres.database import Database
from app.stores.postgres.replicas import PostgresReplicas
from tests.support.services.postgres import PostgresDatabase

ONE, TWO = Incarnation("one"), Incarnation("two")
MONTH = 30 * 86400.0


def by_the_store() -> None:
    """In production nobody tells the time."""


async def test_the_databases_clock_decides(place: PostgresDatabase, database: Database) -> None:
    replicas = PostgresReplicas(database, by_the_store)
    await replicas.beat(ONE)
    (beat,) = await replicas.live()
    assert 0 <= beat.age < 30
    place.run("UPDATE baton.replicas SET beat_at = beat_at - 100")
    (beat,) = await replicas.live()
    assert 100 <= beat.age < 130
    await replicas.beat(ONE)
    (beat,) = await replicas.live()
    assert 0 <= beat.age < 30


async def test_those_who_left_are_remembered_for_a_month_and_not_for_ever(
    place: PostgresDatabase, database: Database
) -> None:
    now = 1000.0
    replicas = PostgresReplicas(database, lambda: now)
    await replicas.beat(ONE)
    await replicas.forget(ONE)
    now += MONTH - 1
    await replicas.forget(TWO)
    with pytest.raises(ReplicaDead):
        await replicas.beat(ONE)
    now += 2
    await replicas.forget(TWO)
    assert place.run("SELECT incarnation FROM baton.replicas") == [("two",)]


async def test_the_buried_are_kept_until_they_are_swept(place: PostgresDatabase, database: Database) -> None:
    now = 1000.0
    replicas = PostgresReplicas(database, lambda: now)
    await replicas.beat(ONE)
    assert await replicas.bury((await replicas.live())[0])
    now += 2 * MONTH
    await replicas.forget(TWO)
    assert await replicas.buried() == (ONE,)
