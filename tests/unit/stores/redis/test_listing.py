"""A user's list in Redis, which lies elsewhere than the sessions and may know of some that never came to be."""

from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ids import SessionId
from app.core.keys import SessionKey
from app.stores.bundle import Stores
from app.stores.redis.layout import layout
from app.stores.redis.listing import IDLE_SECONDS, UserLists, place_of
from app.stores.redis.sessions import RedisSessions
from app.testing.clock import START, ManualClock
from tests.contracts.backends import RedisBackend
from tests.contracts.scenes import HERE, begin, key, turn

NOW = START.timestamp()
names = st.text(st.sampled_from("\x00\x01\x02aé\U0001f600"), max_size=5)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def stores(clock: ManualClock) -> AsyncGenerator[Stores, None]:
    async with RedisBackend().open(clock) as opened:
        yield opened


def lists_of(stores: Stores) -> UserLists:
    assert isinstance(stores.sessions, RedisSessions)
    return stores.sessions._lists


async def listed(stores: Stores, before: tuple[float, SessionId] | None = None) -> list[SessionKey]:
    return [one.key for one in await stores.sessions.list(HERE.tenant, HERE.user, None, before, 2)]


async def length(stores: Stores) -> list[int]:
    """Gives how many members the user's lists have."""
    return await lists_of(stores)._redis.commands([("ZCARD", name) for name in layout(HERE).lists])


async def test_what_never_came_to_be_is_passed_over_and_goes_after_an_hour(stores: Stores, clock: ManualClock) -> None:
    for number in range(5):
        await lists_of(stores).add(key(f"z{number}"), NOW)
    await begin(stores, HERE)
    assert (await listed(stores), await length(stores)) == ([HERE], [6, 6])
    clock.advance(IDLE_SECONDS + 1)
    assert (await listed(stores), await length(stores)) == ([HERE], [1, 1])


async def test_a_session_of_another_time_is_another_one(stores: Stores, clock: ManualClock) -> None:
    await lists_of(stores).add(HERE, NOW - 10)
    await turn(stores, HERE)
    assert await listed(stores) == [HERE]
    assert await listed(stores, (NOW - 5, SessionId("z"))) == []


async def test_a_session_that_was_deleted_and_came_again_is_listed_once(stores: Stores, clock: ManualClock) -> None:
    await begin(stores, HERE)
    await stores.sessions.delete(HERE)
    assert await length(stores) == [0, 0]
    clock.advance(1)
    await begin(stores, HERE, "r2", birth="b2")
    assert (await listed(stores), await length(stores)) == ([HERE], [1, 1])


async def test_nothing_is_older_than_the_beginning_of_time(stores: Stores) -> None:
    await begin(stores, HERE)
    assert await listed(stores, (-1.0, SessionId(""))) == []


@given(st.lists(st.tuples(names, names)))
def test_places_are_in_the_order_of_sessions_then_agents(pairs: list[tuple[str, str]]) -> None:
    places = [place_of(SessionId(session), agent).encode() for session, agent in pairs]
    assert [pairs[places.index(place)] for place in sorted(places)] == sorted(pairs)
