"""Every call of a turn loses its connection, before and after it took effect: repeated, it happens exactly once."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from app.core.errors import HeadMoved, LogRegressed, StoreUnavailable
from app.core.ids import Birth
from app.core.keys import SessionKey
from app.core.records import Busy, SessionCreated
from app.stores.base import Position, Release, Sessions
from app.stores.bundle import Stores
from app.testing.clock import START
from app.testing.interception import intercepted
from tests.contracts.scenes import answer, ask, begin, done, end, key, title, types, wait_in_line, who, whole
from tests.faults.places import Place
from tests.support.proxy import Cut, proxying

MOST = 20
"""More exchanges than any call needs."""
BEGUN = ["session.created", "run.queued", "run.started"]

Call = Callable[[Sessions], Awaitable[Any]]


class Act(Struct, frozen=True):
    """A call: what comes before it, and what the log must hold once it has succeeded."""

    name: str
    prepare: Callable[[Stores, SessionKey], Awaitable[Call]]
    log: list[str]
    is_answered_again: bool = True
    """The same call gets the same answer for ever, and not just one that says that it was done before."""


async def first_input(_: Stores, where: SessionKey) -> Call:
    return lambda sessions: sessions.submit(where, ask(where=where), who())


async def queued_input(stores: Stores, where: SessionKey) -> Call:
    await begin(stores, where)
    return lambda sessions: sessions.submit(where, ask("r2", where=where), None)


async def steered_input(stores: Stores, where: SessionKey) -> Call:
    await begin(stores, where)
    return lambda sessions: sessions.submit(where, ask("r2", where=where, policy=Busy.STEER), None)


async def step(stores: Stores, where: SessionKey) -> Call:
    claim = (await begin(stores, where)).claim
    return lambda sessions: sessions.commit(where, claim, 1, 3, [answer(where=where)])


async def release(stores: Stores, where: SessionKey) -> Call:
    claim = (await begin(stores, where)).claim
    return lambda sessions: sessions.commit(where, claim, 1, 3, [answer(where=where), done(where=where)], Release())


async def handover(stores: Stores, where: SessionKey) -> Call:
    claim = (await begin(stores, where)).claim
    await stores.sessions.submit(where, ask("r2", where=where), None)
    records, heir = [answer(where=where), done(where=where)], Release(who("heir"))
    return lambda sessions: sessions.commit(where, claim, 1, 4, records, heir)


async def taking(stores: Stores, where: SessionKey) -> Call:
    await wait_in_line(stores, where)
    nonces = map(str, count())
    return lambda sessions: sessions.take(who(next(nonces), where.session), 1, ())


async def creation(_: Stores, where: SessionKey) -> Call:
    created = SessionCreated(at=START, title="t")
    return lambda sessions: sessions.append(where, Position(Birth("b"), 0), [created])


async def rename(stores: Stores, where: SessionKey) -> Call:
    place = end((await begin(stores, where)).log)

    async def call(sessions: Sessions) -> None:
        with suppress(HeadMoved):  # whoever gets this looks at the log, and finds the title there
            await sessions.append(where, place, [title("new")])

    return call


ACTS = (
    Act("first_input", first_input, BEGUN),
    Act("queued_input", queued_input, [*BEGUN, "run.queued"], is_answered_again=False),
    Act("steered_input", steered_input, [*BEGUN, "input.steered"], is_answered_again=False),
    Act("step", step, [*BEGUN, "message.appended"]),
    Act("release", release, [*BEGUN, "message.appended", "run.finished"]),
    Act("handover", handover, [*BEGUN, "run.queued", "message.appended", "run.finished", "run.started"]),
    Act("take", taking, BEGUN, is_answered_again=False),
    Act("creation", creation, ["session.created"]),
    Act("rename", rename, [*BEGUN, "state.patched"]),
)

Wrap = Callable[[Sessions], Sessions]


async def strike(act: Act, place: Place, at: int, cut: Cut, wrap: Wrap) -> bool:
    """Makes the call while its `at`-th exchange is cut, and again until it succeeds. Says whether there are so many."""
    where = key(f"s{at}")
    async with (
        place.open() as stores,
        proxying(place.port, place.speech) as proxy,
        place.rerouted(stores, proxy.port) as through,
    ):
        sessions, call = wrap(through.sessions), await act.prepare(stores, where)
        proxy.strike(at, cut)
        is_told, is_struck = await _is_unavailable(call, sessions), proxy.struck.is_set()
        assert is_told == is_struck, "the caller was told of a cut that was none, or not told of one"
        proxy.strike(0, cut)
        answered = await call(sessions)
        await proxy.settled()
        assert not act.is_answered_again or await call(sessions) == answered
        log = await whole(stores, where)
        assert types(log.entries) == act.log
        assert [entry.seq for entry in log.entries] == list(range(1, log.head.seq + 1))
        return is_struck


async def _is_unavailable(call: Call, sessions: Sessions) -> bool:
    try:
        await call(sessions)
    except StoreUnavailable:
        return True
    return False


async def enumerate_exchanges(act: Act, make: Callable[[], Place], cut: Cut, wrap: Wrap = lambda s: s) -> int:
    """Gives how many exchanges the call needs; each of them was cut."""
    place = make()
    for at in range(1, MOST):
        if not await strike(act, place, at, cut, wrap):
            return at - 1
    raise AssertionError(f"{act.name} needs more than {MOST} exchanges")


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("act", ACTS, ids=[act.name for act in ACTS])
async def test_a_call_that_loses_its_connection_happens_once(act: Act, make: Callable[[], Place], cut: Cut) -> None:
    assert await enumerate_exchanges(act, make, cut) >= 1


def renumbered(sessions: Sessions) -> Sessions:
    """The sessions as a runner uses them that gives every attempt a number of its own."""
    numbers = count(1)

    async def around(port: str, method: str, call: Any) -> Any:
        if method != "commit":
            return await call()
        where, claim, _number, *rest = call.args
        return await sessions.commit(where, claim, next(numbers), *rest)

    return intercepted(sessions, "sessions", around)


async def test_a_repeat_without_its_number_would_be_noticed(make: Callable[[], Place]) -> None:
    (act,) = (replace(act, is_answered_again=False) for act in ACTS if act.name == "step")
    with pytest.raises((AssertionError, LogRegressed)):
        await enumerate_exchanges(act, make, Cut.AFTER, renumbered)
