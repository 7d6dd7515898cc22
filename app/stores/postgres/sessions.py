"""Every session's log, head and checkpoints, in Postgres: each call is one function there, and so one transaction.

The functions decide as `stores/head.py` does; they are in `migrations/postgres`.
"""

from collections.abc import Collection, Sequence
from math import inf

from app.core.clock import Clock
from app.core.errors import SessionNotFound
from app.core.ids import AgentId, Birth, Incarnation, Nonce, SessionId, TenantId, UserId
from app.core.keys import SessionKey, check_run_id
from app.core.records import AnyRecord, Entry
from app.stores.base import Checkpoint, Committed, Log, Position, Release, Submitted, Summary, Taken
from app.stores.head import Claim, Claimant, Submission
from app.stores.postgres.arguments import blobs, columns, known, owner, place, request, snapshot
from app.stores.postgres.claims import PostgresClaims, read
from app.stores.postgres.database import Database, Now
from app.stores.postgres.outcomes import appended, committed, submitted
from app.stores.postgres.text import given, stored
from app.stores.remote.lines import prepare
from app.stores.remote.taking import take

NEWEST = (inf, SessionId(""))
"""A place before all sessions."""
BEYOND = 2**62
"""More than any seq, and still an integer of the database's."""


class PostgresSessions:
    """Sessions over functions. Only `take` is more than one call: it looks, reads and adopts."""

    def __init__(self, database: Database, clock: Clock, fold_version: int, now: Now) -> None:
        self._database = database
        self._clock = clock
        self._version = fold_version
        self._now = now
        self._claims = PostgresClaims(database, clock, fold_version, now)

    async def submit(self, key: SessionKey, submission: Submission, claimant: Claimant | None) -> Submitted:
        check_run_id(key, submission.run_id)
        at = self._clock.now()
        (row,) = await self._database.call(
            "submit_v1",
            *place(key),
            self._now(),
            self._version,
            *request(submission, at),
            *owner(claimant, key.agent, at),
        )
        return submitted(key, row)

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
        lines = prepare(records)
        heir = release.heir if release is not None else None
        (row,) = await self._database.call(
            "commit_v1",
            *known(key),
            self._now(),
            claim.epoch,
            claim.nonce,
            commit_id,
            seen,
            *columns(lines),
            blobs(records),
            release is not None,
            *owner(heir, key.agent, self._clock.now()),
            *snapshot(checkpoint),
        )
        return committed(key, claim, commit_id, row, records, lines)

    async def append(self, key: SessionKey, expected: Position, records: Sequence[AnyRecord]) -> tuple[Entry, ...]:
        lines = prepare(records)
        (row,) = await self._database.call(
            "append_v1",
            *place(key),
            self._now(),
            expected.birth,
            min(expected.seq, BEYOND),
            *columns(lines),
            blobs(records),
        )
        return appended(key, row, records, lines)

    async def take(self, claimant: Claimant, slots: int, held: Collection[Nonce]) -> tuple[Taken, ...]:
        return await take(self._claims, claimant, slots, held)

    async def sweep(self, dead: Incarnation, limit: int) -> int:
        (row,) = await self._database.call("sweep_v1", dead, limit, self._now())
        return row["freed"]

    async def read(self, key: SessionKey, after: int | None = None, limit: int = 256) -> Log:
        place_in_log = None if after is None else min(max(after, 0), BEYOND)
        return await read(self._database, key, self._version, place_in_log, limit)

    async def list(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Summary, ...]:
        created_at, session = before or NEWEST
        only = stored(agent) if agent is not None else None
        rows = await self._database.call(
            "list_v1", stored(tenant), stored(user), only, created_at, stored(session), limit
        )
        return tuple(
            Summary(
                SessionKey(tenant, user, AgentId(given(row["agent"])), SessionId(given(row["session"]))),
                Birth(row["birth"]),
                row["seq"],
                given(row["title"]),
                row["status"],
                row["created_at"],
                row["updated_at"],
            )
            for row in rows
        )

    async def delete(self, key: SessionKey) -> None:
        (row,) = await self._database.call("delete_v1", *known(key), self._now())
        if not row["deleted"]:
            raise SessionNotFound(f"there is no session {key.session!r}")
