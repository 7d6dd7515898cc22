"""Claims that change hands without a commit: who gets what is ready, and what becomes of those of the dead."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from app.core.clock import Clock
from app.core.ids import Incarnation, Nonce, TenantId
from app.core.keys import SessionKey
from app.stores.base import Log, Taken
from app.stores.fairness import Waiting
from app.stores.head import Claimant
from app.stores.redis.clock import Stamp
from app.stores.redis.connection import Connection
from app.stores.redis.heads import RedisHeads
from app.stores.redis.layout import layout, owned, running, waiting
from app.stores.redis.partitions import TAGS, Partitions, joined
from app.stores.redis.reading import Reader, numbered
from app.stores.redis.requests import Adopting, Claiming, encode, load_head, owner
from app.stores.remote.lines import start
from app.stores.remote.taking import Candidates

_WAITING = [waiting(tag) for tag in TAGS]
_RUNNING = [running(tag) for tag in TAGS]

Ready = tuple[float, bytes, bytes]
"""Since when a session is ready, its encoded key, its head."""


class RedisClaims:
    """Looks through all partitions; changes one session at a time."""

    def __init__(
        self,
        connection: Connection,
        partitions: Partitions,
        reader: Reader,
        heads: RedisHeads,
        clock: Clock,
        stamp: Stamp,
    ) -> None:
        self._redis = connection
        self._partitions = partitions
        self._reader = reader
        self._heads = heads
        self._clock = clock
        self._stamp = stamp

    async def candidates(self, claimant: Claimant, held: Collection[Nonce], limit: int) -> Candidates:
        """Gives what the claimant may take, without those it cannot run: its own, and up to `limit` that are ready.

        A cluster gives up to `limit` of each partition.
        """
        agents = {quote(agent, safe=""): True for agent in claimant.digests}
        asked = encode(Claiming(reader=claimant.reader, agents=agents, limit=limit))
        mine, theirs = await self._partitions.ask(
            ("owned", _owned(claimant.incarnation), ()), ("ready", _WAITING, (asked,))
        )
        lost = [session for session, nonce in _pairs(joined(mine)) if nonce.decode() not in held]
        ready = _by_tenant(joined(theirs))
        return Candidates(
            own=await self._with_heads(lost),
            ready=tuple(tuple(_oldest(waiting, limit)) for waiting in ready.values()),
            running=await self._running() if ready else {},
        )

    async def _with_heads(self, sessions: Sequence[bytes]) -> tuple[Waiting, ...]:
        if not sessions:
            return ()
        heads = await self._heads.peek([_key(session) for session in sessions])
        return tuple(heads.items())

    async def _running(self) -> Mapping[TenantId, int]:
        """Gives how many sessions of each tenant have an owner, if any has."""
        (answers,) = await self._partitions.ask(("running", _RUNNING, ()))
        totals: Counter[TenantId] = Counter()
        for tenant, count in _pairs(joined(answers)):
            totals[TenantId(unquote(tenant.decode()))] += count
        return totals

    async def load(self, key: SessionKey) -> Log:
        """Gives the newest checkpoint and the whole tail. Raises SessionNotFound and StoreCorrupt."""
        return await self._reader.read(key)

    async def adopt(self, key: SessionKey, log: Log, claimant: Claimant) -> Taken | None:
        """The session is the claimant's, if its log is still as it was read; else None, and nothing was written."""
        where, head = layout(key), log.head
        request = Adopting(
            now=self._stamp(),
            birth=head.birth,
            epoch=head.epoch,
            nonce=head.nonce,
            seq=head.seq,
            claimant=owner(claimant, start(claimant, key.agent, self._clock.now())),
        )
        keys = (*where.keys, where.owned(claimant.incarnation))
        outcome, *adopted = await self._redis.run("adopt", keys, (encode(request),))
        if outcome == b"moved":
            return None
        packed, bodies = adopted
        after = load_head(packed)
        grown = Log(after, log.entries + numbered(bodies, head.seq), log.checkpoint)
        return Taken(key, after.claim, head.orphaned or head.owner is not None, grown)

    async def sweep(self, dead: Incarnation, limit: int) -> int:
        """Up to `limit` sessions of the dead incarnation are ready, their claims void; gives how many."""
        (answers,) = await self._partitions.ask(("owned", _owned(dead), ()))
        keys = [_key(session) for session, _ in _pairs(joined(answers))][:limit]
        places = [layout(key) for key in keys]
        args = (dead, self._stamp())
        return sum(await self._redis.many([("orphan", (*where.keys, where.owned(dead)), args) for where in places]))


@lru_cache(maxsize=16)
def _owned(incarnation: Incarnation) -> Sequence[str]:
    return [owned(tag, incarnation) for tag in TAGS]


def _key(session: bytes) -> SessionKey:
    return SessionKey.decode(session.decode())


def _pairs(texts: Sequence[Any]) -> Iterable[tuple[bytes, Any]]:
    return zip(texts[::2], texts[1::2], strict=True)


def _by_tenant(texts: Sequence[Any]) -> dict[str, list[Ready]]:
    """Gives the ready sessions by their encoded tenant."""
    tenants: defaultdict[str, list[Ready]] = defaultdict(list)
    for session, since, head in zip(texts[::3], texts[1::3], texts[2::3], strict=True):
        tenants[session.partition(b"/")[0].decode()].append((float(since), session, head))
    return tenants


def _oldest(ready: list[Ready], limit: int) -> Iterator[Waiting]:
    """Yields a tenant's oldest sessions, of all partitions, as they are in line."""
    for _, session, head in sorted(ready)[:limit]:
        yield _key(session), load_head(head)
