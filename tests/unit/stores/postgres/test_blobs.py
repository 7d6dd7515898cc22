"""Blobs that are collected while somebody else names or puts them, and how many a collection looks at."""

from collections.abc import AsyncGenerator, Generator
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from app.core.errors import BlobNotFound
from app.core.ids import TenantId
from app.core.messages import BlobRef
from app.stores.base import BLOB_GRACE_SECONDS, Position
from app.stores.bundle import Stores
from app.stores.postgres import blobs as postgres_blobs
from app.stores.postgres.stores import open_postgres
from app.testing.clock import ManualClock
from tests.contracts.scenes import ask, begin, key
from tests.contracts.test_blobs import image, said
from tests.support.services.postgres import PostgresDatabase
from tests.unit.stores.postgres.test_locks import waits_for

T = TenantId("t")
KEY = key()
NAMED = "SELECT baton.name_blobs(s, ARRAY[%s]) FROM baton.sessions AS s WHERE s.digest = %s"
COLLECTED = "SELECT collected FROM baton.collect_blobs_v1(%s, 100, 100, %s)"


@pytest.fixture
async def stores(place: PostgresDatabase, clock: ManualClock) -> AsyncGenerator[Stores]:
    async with open_postgres(place.url, clock, now=lambda: clock.now().timestamp()) as opened:
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def first(place: PostgresDatabase) -> Generator["psycopg.Connection[tuple[Any, ...]]"]:
    """Gives a transaction that goes first, and ends when it is told to."""
    with psycopg.connect(place.superuser_url) as connection:
        yield connection
        connection.rollback()


async def aged(stores: Stores, clock: ManualClock, data: bytes = b"data") -> BlobRef:
    """Puts a blob that nobody has named for a day, beside a session."""
    ref = await stores.blobs.put(T, data, "image/png")
    clock.advance(BLOB_GRACE_SECONDS)
    await begin(stores, KEY)
    return ref


async def test_what_a_log_is_just_naming_is_not_collected(
    stores: Stores, clock: ManualClock, first: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    ref = await aged(stores, clock)
    first.execute(NAMED, (ref.sha256, KEY.digest()))
    assert await stores.blobs.collect(10) == 0
    first.commit()
    assert await stores.blobs.collect(10) == 0
    assert await stores.blobs.get(T, ref.sha256) == b"data"


async def test_who_names_what_is_just_collected_waits_for_that(
    stores: Stores, clock: ManualClock, place: PostgresDatabase, first: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    ref = await aged(stores, clock)
    first.execute(COLLECTED, (BLOB_GRACE_SECONDS, clock.now().timestamp()))
    other = key("other")
    late = await waits_for(place, stores.sessions.append(other, Position(ask().birth, 0), [said(image(ref))]))
    first.commit()
    await late
    with pytest.raises(BlobNotFound):
        await stores.blobs.get(T, ref.sha256)
    assert await stores.blobs.put(T, b"data", "image/png") == ref
    clock.advance(BLOB_GRACE_SECONDS)
    assert await stores.blobs.collect(10) == 0


async def test_what_is_put_while_it_is_collected_is_there_afterwards(
    stores: Stores, clock: ManualClock, place: PostgresDatabase, first: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    ref = await aged(stores, clock)
    first.execute(COLLECTED, (BLOB_GRACE_SECONDS, clock.now().timestamp()))
    late = await waits_for(place, stores.blobs.put(T, b"data", "image/png"))
    first.commit()
    assert await late == ref
    assert await stores.blobs.get(T, ref.sha256) == b"data"


async def test_a_collection_finds_what_nobody_names_behind_what_logs_name(
    stores: Stores, clock: ManualClock, place: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_blobs, "LOOKS", 2)
    for number in range(5):
        named = await stores.blobs.put(T, b"%d" % number, "image/png")
        await stores.sessions.append(key(f"s{number}"), Position(ask().birth, 0), [said(image(named))])
    await aged(stores, clock)
    clock.advance(1.0)
    assert await stores.blobs.collect(10) == 1


async def test_trap_collecting_scans_everything_that_is_kept(
    stores: Stores, clock: ManualClock, place: PostgresDatabase
) -> None:
    """A blob that a log names is looked at once a day, however often blobs are collected."""
    ref = await stores.blobs.put(T, b"data", "image/png")
    await stores.sessions.append(KEY, Position(ask().birth, 0), [said(image(ref))])
    clock.advance(BLOB_GRACE_SECONDS)
    looks = "SELECT looked FROM baton.collect_blobs_v1(%s, 100, 100, %s)"
    moment = clock.now().timestamp()
    assert [place.run(looks, BLOB_GRACE_SECONDS, moment) for _ in range(2)] == [[(1,)], [(0,)]]
    assert ref.sha256 == sha256(b"data").hexdigest()
