"""`Sessions` in Redis: each call is one script, which decides and writes at one moment."""

from collections.abc import Collection, Sequence

from app.core.clock import Clock
from app.core.ids import AgentId, Incarnation, Nonce, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.core.records import AnyRecord, Entry
from app.core.state import FOLD_VERSION
from app.stores.base import Checkpoint, Committed, Log, Position, Release, Submitted, Summary, Taken
from app.stores.head import Claim, Claimant, Submission
from app.stores.redis.beginnings import Beginnings
from app.stores.redis.blobs import BlobNames
from app.stores.redis.claims import RedisClaims
from app.stores.redis.clock import Stamp
from app.stores.redis.commits import Commits
from app.stores.redis.connection import Connection
from app.stores.redis.heads import RedisHeads
from app.stores.redis.listing import UserLists
from app.stores.redis.logs import Logs
from app.stores.redis.partitions import Partitions
from app.stores.redis.reading import Reader
from app.stores.redis.submission import Submissions
from app.stores.remote.taking import take


class RedisSessions:
    """Every session's log, head and checkpoints."""

    def __init__(self, connection: Connection, clock: Clock, stamp: Stamp, fold_version: int = FOLD_VERSION) -> None:
        names = BlobNames(connection, stamp)
        partitions = Partitions(connection)
        heads = RedisHeads(partitions)
        self._reader = Reader(connection, fold_version)
        self._lists = UserLists(connection, heads, clock)
        beginnings = Beginnings(connection, partitions, self._lists)
        self._submissions = Submissions(beginnings, self._reader, names, clock, stamp)
        self._commits = Commits(connection, names, clock, stamp)
        self._logs = Logs(connection, beginnings, self._lists, names, stamp)
        self._claims = RedisClaims(connection, partitions, self._reader, heads, clock, stamp)

    async def submit(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitted:
        return await self._submissions.submit(key, submission, claimant)

    async def commit(
        self,
        key: SessionKey,
        claim: Claim,
        commit_id: int,
        seen: int,
        records: Sequence[AnyRecord],
        release: Release | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Committed:
        return await self._commits.commit(key, claim, commit_id, seen, records, release, checkpoint)

    async def append(self, key: SessionKey, expected: Position, records: Sequence[AnyRecord]) -> tuple[Entry, ...]:
        return await self._logs.append(key, expected, records)

    async def take(self, claimant: Claimant, slots: int, held: Collection[Nonce]) -> tuple[Taken, ...]:
        return await take(self._claims, claimant, slots, held)

    async def sweep(self, dead: Incarnation, limit: int) -> int:
        return await self._claims.sweep(dead, limit)

    async def read(self, key: SessionKey, after: int | None = None, limit: int = 256) -> Log:
        return await self._reader.read(key, after, limit)

    async def list(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Summary, ...]:
        return await self._lists.page(tenant, user, agent, before, limit)

    async def delete(self, key: SessionKey) -> None:
        await self._logs.delete(key)
