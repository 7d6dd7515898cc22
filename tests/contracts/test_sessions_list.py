"""`list`: a user's sessions, newest first, by heads alone."""

from app.core.ids import AgentId, Birth
from app.stores.base import Position, Summary
from app.stores.bundle import Stores
from app.testing.clock import START, ManualClock
from tests.contracts.backends import Backend
from tests.contracts.scenes import begin, key, turn

KEY = key()


async def page(
    stores: Stores, before: Summary | None = None, limit: int = 10, agent: str | None = None
) -> tuple[Summary, ...]:
    place = (before.created_at, before.key.session) if before is not None else None
    return await stores.sessions.list(KEY.tenant, KEY.user, AgentId(agent) if agent is not None else None, place, limit)


def names(summaries: tuple[Summary, ...]) -> list[str]:
    return [summary.key.session for summary in summaries]


async def create(stores: Stores, clock: ManualClock, *sessions: str) -> None:
    for session in sessions:
        clock.advance(1)
        await turn(stores, key(session))


async def test_nobody_has_none(stores: Stores) -> None:
    assert await page(stores) == ()


async def test_a_summary_tells_what_the_head_knows(stores: Stores, clock: ManualClock) -> None:
    claimed = await begin(stores, KEY, title="A talk")
    (summary,) = await page(stores)
    now = START.timestamp()
    assert summary == Summary(KEY, claimed.log.head.birth, 3, "A talk", "owned", now, now)


async def test_the_newest_come_first(stores: Stores, clock: ManualClock) -> None:
    await create(stores, clock, "b", "c", "a")
    await turn(stores, key("b"), "another")
    assert names(await page(stores)) == ["a", "c", "b"]


async def test_only_the_users_own_are_listed(stores: Stores) -> None:
    for other in (key(user="x"), key(tenant="x"), key("mine")):
        await turn(stores, other)
    assert names(await page(stores)) == ["mine"]


async def test_one_agents_sessions_can_be_listed(stores: Stores, clock: ManualClock) -> None:
    await create(stores, clock, "of a")
    await stores.sessions.append(key("of x", agent="x"), _new(), [])
    assert names(await page(stores, agent="x")) == ["of x"]
    assert names(await page(stores, agent="a")) == ["of a"]
    assert names(await page(stores, agent="")) == []


def _new() -> Position:
    return Position(Birth("birth of x"), 0)


async def test_pages_follow_each_other(stores: Stores, clock: ManualClock) -> None:
    await create(stores, clock, *"abcde")
    first = await page(stores, limit=2)
    second = await page(stores, first[-1], limit=2)
    third = await page(stores, second[-1], limit=2)
    assert [names(one) for one in (first, second, third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert await page(stores, third[-1]) == ()


async def test_sessions_of_the_same_moment_come_by_their_names_backwards(stores: Stores) -> None:
    for session in ("b", "é", "a", "B", "\U0001f600"):
        await turn(stores, key(session))
    listed: list[str] = []
    last = None
    while found := await page(stores, last, limit=2):
        listed, last = listed + names(found), found[-1]
    assert listed == ["\U0001f600", "é", "b", "a", "B"]


async def test_trap_offset_paging_under_writes(stores: Stores, clock: ManualClock) -> None:
    """Pages of a list that grows while it is read neither repeat nor skip what was there."""
    await create(stores, clock, *"abcdef")
    first = await page(stores, limit=3)
    await create(stores, clock, "new")
    await stores.sessions.delete(key("d"))
    await turn(stores, key("b"), "another")
    assert names(first + await page(stores, first[-1])) == ["f", "e", "d", "c", "b", "a"]


async def test_trap_list_calls_that_load_every_payload(stores: Stores, clock: ManualClock, backend: Backend) -> None:
    """Listing sessions read every session's whole log."""
    await create(stores, clock, "a", "b")
    for session in ("a", "b"):
        for seq in range(1, 6):
            backend.spoil_entry(key(session), seq)
    assert names(await page(stores)) == ["b", "a"]
    peeked = await stores.heads.peek([key("a"), key("b")])
    assert [head.seq for head in peeked.values()] == [5, 5]
