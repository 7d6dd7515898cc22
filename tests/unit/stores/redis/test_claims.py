"""Taking and sweeping in Redis: what may happen between looking and writing, and what a look costs."""

from collections.abc import AsyncGenerator, Sequence
from itertools import count, islice
from typing import Any

import pytest

from app.core.ids import Nonce
from app.core.keys import SessionKey
from app.stores.base import Release
from app.stores.bundle import Stores
from app.stores.redis.claims import RedisClaims
from app.stores.redis.connection import Connection
from app.stores.redis.layout import layout
from app.stores.redis.sessions import RedisSessions
from app.testing.clock import ManualClock
from tests.contracts.backends import RedisBackend
from tests.contracts.scenes import ask, begin, done, end, finish, key, title, turn, wait_in_line, who, whole

KEY = key()
DEAD = who("n1", "dead")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def stores(clock: ManualClock) -> AsyncGenerator[Stores, None]:
    async with RedisBackend().open(clock) as opened:
        yield opened


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gives the sizes of all exchanges with the server that have any, as they come."""
    sizes: list[int] = []
    exchange = Connection._exchange

    async def counted(self: Connection, commands: Sequence[Any]) -> list[Any]:
        sizes.extend([len(commands)] if commands else [])
        return await exchange(self, commands)

    monkeypatch.setattr(Connection, "_exchange", counted)
    return sizes


def claims_of(stores: Stores) -> RedisClaims:
    assert isinstance(stores.sessions, RedisSessions)
    return stores.sessions._claims


def neighbours(where: SessionKey, agent: str = "a") -> list[SessionKey]:
    """Gives twenty other sessions in the same partition."""
    names = (key(f"s{number}", agent=agent) for number in count())
    return list(islice((one for one in names if one.partition() == where.partition() and one != where), 20))


async def test_a_sweep_leaves_what_has_another_owner_by_now(stores: Stores) -> None:
    claimed = await begin(stores, KEY, by=DEAD)
    partitions = claims_of(stores)._partitions
    look = partitions.ask

    async def look_and_look_away(*questions: Any) -> Any:
        found = await look(*questions)
        await finish(stores, KEY, claimed)
        await begin(stores, KEY, "r2", who("n2", "alive"))
        return found

    setattr(partitions, "ask", look_and_look_away)  # noqa: B010
    assert await stores.sessions.sweep(DEAD.incarnation, 10) == 0
    assert (await whole(stores, KEY)).head.owner == "alive"


async def test_what_has_grown_since_it_was_read_is_not_adopted(stores: Stores) -> None:
    await wait_in_line(stores, KEY)
    claims = claims_of(stores)
    log = await claims.load(KEY)
    await stores.sessions.append(KEY, end(log), [title("x")])
    assert await claims.adopt(KEY, log, who()) is None
    assert (await whole(stores, KEY)).head.status == "ready"


async def test_what_was_let_go_since_it_was_read_is_not_adopted(stores: Stores) -> None:
    claimed = await begin(stores, KEY)
    await stores.sessions.commit(KEY, claimed.claim, 1, 3, [done()])
    claims = claims_of(stores)
    log = await claims.load(KEY)
    await stores.sessions.commit(KEY, claimed.claim, 2, 4, [], Release())
    assert await claims.adopt(KEY, log, who("n2")) is None
    assert (await whole(stores, KEY)).head.status == "idle"


async def test_what_nobody_here_can_run_does_not_hide_what_is_behind_it(stores: Stores) -> None:
    for number, strange in enumerate(neighbours(KEY, agent="x")):
        await stores.sessions.submit(strange, ask("r1", where=strange, birth=f"b{number}"), None)
    await wait_in_line(stores, KEY)
    (taken,) = await stores.sessions.take(who(), 5, [])
    assert taken.key == KEY


async def test_a_broken_head_holds_no_other_up(stores: Stores) -> None:
    other = neighbours(KEY)[0]
    await wait_in_line(stores, KEY)
    await wait_in_line(stores, other)
    redis = claims_of(stores)._redis
    await redis.command("SET", f"baton:{{{KEY.partition()}}}:session:{KEY.encode()}:head", b"\xc1")
    (taken,) = await stores.sessions.take(who(), 5, [])
    assert taken.key == other


async def test_trap_a_look_gives_everything_that_waits(stores: Stores, clock: ManualClock) -> None:
    """However many sessions wait, of however many tenants, a look gives no more than are wanted, the fairest first."""
    await begin(stores, key("busy", tenant="t"))
    for where in (*neighbours(KEY), *(key(f"o{n}", tenant=f"other{n % 3}") for n in range(20))):
        await wait_in_line(stores, where)
        clock.advance(1.0)
    found = await claims_of(stores).candidates(who("n2", "j"), [], 5)
    assert {queue[0][0].tenant: len(queue) for queue in found.ready} == {"other0": 2, "other1": 1, "other2": 1, "t": 1}
    assert found.running == {"t": 1}


async def test_since_when_a_tenant_waits_is_said_of_its_oldest(stores: Stores, clock: ManualClock) -> None:
    redis, waiting, where = claims_of(stores)._redis, layout(KEY).keys[8], neighbours(KEY)
    first = clock.now().timestamp()
    for one in where[:3]:
        await wait_in_line(stores, one)
        clock.advance(1.0)
    for freed in range(3):
        held = [Nonce(f"n{n}-0") for n in range(freed)]
        assert float(await redis.command("ZSCORE", waiting, "t")) == first + freed
        (taken,) = await stores.sessions.take(who(f"n{freed}"), 1, held)
        assert taken.key == where[freed]
    assert await redis.command("ZSCORE", waiting, "t") is None


async def test_an_index_that_names_nothing_is_passed_over(stores: Stores) -> None:
    other = neighbours(KEY)[0]
    await wait_in_line(stores, other)
    redis = claims_of(stores)._redis
    await redis.command("ZADD", layout(KEY).keys[8], 0, "ghost")
    await redis.command("ZADD", layout(KEY).keys[7], 0, "t/u/a/ghost")
    (taken,) = await stores.sessions.take(who(), 5, [])
    assert taken.key == other


async def test_looking_in_vain_costs_one_round_trip(stores: Stores, exchanges: list[int]) -> None:
    await begin(stores, KEY, by=who("n"))
    await stores.sessions.take(who(), 1, [who("n").nonce])
    exchanges.clear()
    assert await stores.sessions.take(who(), 4, [who("n").nonce]) == ()
    assert await stores.sessions.sweep(DEAD.incarnation, 100) == 0
    assert exchanges == [2, 1]


async def test_a_turn_costs_two_round_trips_also_in_a_new_session(stores: Stores, exchanges: list[int]) -> None:
    await begin(stores, key("warms the scripts up"))
    await turn(stores, key("and the rest of them"))
    exchanges.clear()
    await turn(stores, KEY)
    await turn(stores, KEY, "r2")
    assert exchanges == [1, 1, 1, 1]
