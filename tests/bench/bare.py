"""What one round trip to the store costs by itself, and what Baton's two of a turn cost against it.

The floor is what the same driver takes for the least that it can ask: `PING`, `SELECT 1`. That writes nothing; so the
least that is durable is shown, too: most of the wall time of both is the disk's. All of it in one thread, on the
servers' core, in an event loop like theirs, one call after the other, in turns.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from statistics import median
from typing import Any, cast

import asyncpg
import uvloop
from msgspec import Struct
from redis.asyncio import Redis

from app.bootstrap import open_server
from app.core.keys import SessionKey
from app.settings import Settings, load
from app.stores.addresses import PostgresStore, RedisStore, Store
from app.stores.base import Claimed, Release, Sessions
from tests.bench.mutated import mutation
from tests.bench.processes import SERVER_CORE, on_core
from tests.bench.servers import Laboratory
from tests.bench.table import Row
from tests.contracts.scenes import answer, ask, done, key, who

Call = Callable[[], Awaitable[object]]
FLOOR, DURABLE = "bare round trip", "durable round trip"
WARM = 20


class Cost(Struct, frozen=True):
    """What one call takes, in microseconds: wall time, and the CPU of all threads of the client's process."""

    wall: float
    cpu: float


async def measure(lab: Laboratory, calls: int) -> list[Row]:
    """Gives what `submit` and `commit` take, against the bare round trip of a store that has one."""
    settings = load(**lab.variables())

    def run() -> dict[str, Cost]:
        with on_core(SERVER_CORE), mutation(lab.mutation):
            return uvloop.run(_costs(settings, calls))

    costs = await asyncio.to_thread(run)
    lab.note("; ".join(f"{name}: {cost.wall:.0f} us of wall, {cost.cpu:.0f} of CPU" for name, cost in costs.items()))
    floor = costs.get(FLOOR)
    rows: list[Row] = []
    for name in ("submit", "commit"):
        rows.append(_row(f"{name}, CPU of the client", costs[name].cpu, floor and floor.cpu))
        rows.append(_row(f"{name}, wall", costs[name].wall, floor and floor.wall))
    return rows


def _row(what: str, value: float, floor: float | None) -> Row:
    return Row(what=what, value=value, floor=floor, unit="us", how="value" if floor is None else "ratio")


async def _costs(settings: Settings, calls: int) -> dict[str, Cost]:
    """Gives the medians. The calls take turns, each turn in a new session, so that no history grows."""
    found: dict[str, list[Cost]] = defaultdict(list)
    async with open_server(settings) as server, _floors(settings.store) as floors:
        for number in range(WARM + calls):
            turn = await _turn(server.services.stores.sessions, key(f"bare{number}"))
            costs = {**turn, **{name: await _timed(call) for name, call in floors.items()}}
            for name, cost in costs.items():
                found[name].append(cost)
    return {name: _middle(costs[WARM:]) for name, costs in found.items()}


@asynccontextmanager
async def _floors(store: Store) -> AsyncGenerator[dict[str, Call], None]:
    """Gives the least that the store's driver can ask, and the least that is durable."""
    match store:
        case RedisStore(url=url):
            redis = cast("Any", Redis).from_url(url)
            async with redis:
                yield {FLOOR: redis.ping, DURABLE: partial(redis.set, "bench", b"x")}
        case PostgresStore(url=url):
            connection = await asyncpg.connect(url)
            try:
                durable = "SELECT pg_logical_emit_message(true, 'bench', 'x')"
                yield {FLOOR: partial(connection.fetch, "SELECT 1"), DURABLE: partial(connection.fetch, durable)}
            finally:
                await connection.close()
        case _:
            yield {}


async def _timed(call: Call) -> Cost:
    mark = _mark()
    await call()
    return _since(mark)


async def _turn(sessions: Sessions, where: SessionKey) -> dict[str, Cost]:
    submission, claimant = ask(where=where), who()
    mark = _mark()
    claimed = await sessions.submit(where, submission, claimant)
    submit = _since(mark)
    assert isinstance(claimed, Claimed), claimed
    seen = claimed.log.head.seq
    records = (answer(seen=seen, where=where), done(where=where))
    mark = _mark()
    await sessions.commit(where, claimed.claim, 1, seen, records, Release())
    return {"submit": submit, "commit": _since(mark)}


def _mark() -> Cost:
    return Cost(time.perf_counter() * 1e6, time.process_time() * 1e6)


def _since(mark: Cost) -> Cost:
    now = _mark()
    return Cost(now.wall - mark.wall, now.cpu - mark.cpu)


def _middle(costs: Sequence[Cost]) -> Cost:
    return Cost(median(cost.wall for cost in costs), median(cost.cpu for cost in costs))
