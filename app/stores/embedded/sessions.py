"""`Sessions`, `Runs` and `Heads` over an embedded store: each call is one transaction."""

from collections.abc import Collection, Sequence

from app.core.clock import Clock
from app.core.ids import AgentId, Incarnation, Nonce, RunId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.core.records import AnyRecord, Entry
from app.core.state import FOLD_VERSION
from app.stores.base import (
    Checkpoint,
    Committed,
    Log,
    Position,
    Release,
    RunEntry,
    Submitted,
    Summary,
    Taken,
)
from app.stores.embedded import claims, logs
from app.stores.embedded.submission import accept
from app.stores.embedded.tables import Transactions
from app.stores.head import Claim, Claimant, Head, Submission


class EmbeddedSessions:
    """Every session's log, head and checkpoints."""

    def __init__(self, transactions: Transactions, clock: Clock, fold_version: int = FOLD_VERSION) -> None:
        self._transactions = transactions
        self._clock = clock
        self._version = fold_version

    async def submit(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitted:
        at = self._clock.now()
        return await self._transactions.write(
            lambda tables: accept(tables, key, submission, claimant, self._version, at)
        )

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
        at = self._clock.now()
        return await self._transactions.write(
            lambda tables: claims.commit(tables, key, claim, commit_id, seen, records, release, checkpoint, at)
        )

    async def append(self, key: SessionKey, expected: Position, records: Sequence[AnyRecord]) -> tuple[Entry, ...]:
        at = self._clock.now()
        return await self._transactions.write(lambda tables: logs.extend(tables, key, expected, records, at))

    async def take(self, claimant: Claimant, slots: int, held: Collection[Nonce]) -> tuple[Taken, ...]:
        at = self._clock.now()
        return await self._transactions.write(
            lambda tables: claims.take(tables, claimant, slots, held, self._version, at)
        )

    async def sweep(self, dead: Incarnation, limit: int) -> int:
        at = self._clock.now()
        return await self._transactions.write(lambda tables: claims.sweep(tables, dead, limit, at))

    async def read(self, key: SessionKey, after: int | None = None, limit: int = 256) -> Log:
        return await self._transactions.read(lambda tables: logs.read(tables, key, self._version, after, limit))

    async def list(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Summary, ...]:
        found = await self._transactions.list(tenant, user, agent, before, limit)
        return tuple(_summary(key, head) for key, head in found)

    async def delete(self, key: SessionKey) -> None:
        at = self._clock.now()
        await self._transactions.write(lambda tables: logs.delete(tables, key, at))


class EmbeddedRuns:
    """Finds runs by their id."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def find(self, tenant: TenantId, run_id: RunId) -> RunEntry | None:
        return await self._transactions.read(lambda tables: tables.run(tenant, run_id))


class EmbeddedHeads:
    """Reads many heads at once."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def peek(self, keys: Collection[SessionKey]) -> dict[SessionKey, Head]:
        heads = await self._transactions.read(lambda tables: [(key, tables.head(key)) for key in keys])
        return {key: head for key, head in heads if head is not None}


def _summary(key: SessionKey, head: Head) -> Summary:
    return Summary(key, head.birth, head.seq, head.title, head.status, head.created_at, head.updated_at)
