"""What `take` asks of Postgres: candidates, a log, and a session that is still as it was read."""

from collections.abc import Collection, Iterable

from asyncpg import Record

from app.core.clock import Clock
from app.core.errors import SessionNotFound
from app.core.ids import AgentId, Nonce, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.stores.base import Log, Taken
from app.stores.fairness import Waiting
from app.stores.head import Claimant
from app.stores.postgres.arguments import known, owner
from app.stores.postgres.database import Database, Now
from app.stores.postgres.rows import load_entries, load_head, load_log
from app.stores.postgres.text import given, stored
from app.stores.remote.taking import Candidates


class PostgresClaims:
    """Looks across tenants for what waits, and adopts one session at a time, within its own."""

    def __init__(self, database: Database, clock: Clock, version: int, now: Now) -> None:
        self._database = database
        self._clock = clock
        self._version = version
        self._now = now

    async def candidates(self, claimant: Claimant, held: Collection[Nonce], limit: int) -> Candidates:
        agents = [stored(agent) for agent in claimant.digests]
        rows = await self._database.call(
            "candidates_v1", claimant.incarnation, list(held), claimant.reader, agents, limit
        )
        waiting = [row for row in rows if not row["own"]]
        running = {TenantId(given(row["tenant"])): row["running"] for row in waiting}
        return Candidates(tuple(_waiting(row) for row in rows if row["own"]), _queues(waiting), running)

    async def load(self, key: SessionKey) -> Log:
        return await read(self._database, key, self._version)

    async def adopt(self, key: SessionKey, log: Log, claimant: Claimant) -> Taken | None:
        head = log.head
        taker = owner(claimant, key.agent, self._clock.now())
        row = await self._database.row("adopt_v1", *known(key), self._now(), head.birth, head.epoch, head.seq, *taker)
        if row is None:
            return None
        after = load_head(row["head"])
        return Taken(key, after.claim, row["orphaned"], Log(after, log.entries + load_entries(row), log.checkpoint))


def _queues(rows: Iterable[Record]) -> tuple[tuple[Waiting, ...], ...]:
    """Gives each tenant's ready sessions."""
    queues: dict[TenantId, list[Waiting]] = {}
    for row in rows:
        waiting = _waiting(row)
        queues.setdefault(waiting[0].tenant, []).append(waiting)
    return tuple(map(tuple, queues.values()))


def _waiting(row: Record) -> Waiting:
    key = SessionKey(
        TenantId(given(row["tenant"])),
        UserId(given(row["usr"])),
        AgentId(given(row["agent"])),
        SessionId(given(row["session"])),
    )
    return key, load_head(row["head"])


async def read(database: Database, key: SessionKey, version: int, after: int | None = None, limit: int = 0) -> Log:
    """Gives up to `limit` entries after a seq, or all that the state needs. Raises SessionNotFound and StoreCorrupt."""
    row = await database.row("read_v1", *known(key), after, limit, version)
    if row is None:
        raise SessionNotFound(f"there is no session {key.session!r}")
    return load_log(row)
