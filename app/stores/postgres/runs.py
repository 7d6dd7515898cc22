"""Finds runs by their id, in Postgres."""

from app.core.ids import AgentId, Birth, RunId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.stores.base import RunEntry
from app.stores.postgres.database import Database
from app.stores.postgres.text import given, stored


class PostgresRuns:
    """The run index, which the sessions' functions keep."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, tenant: TenantId, run_id: RunId) -> RunEntry | None:
        row = await self._database.row("find_v1", stored(tenant), stored(run_id))
        if row is None:
            return None
        agent, session = AgentId(given(row["agent"])), SessionId(given(row["session"]))
        key = SessionKey(tenant, UserId(given(row["usr"])), agent, session)
        return RunEntry(run_id, key, Birth(row["birth"]), row["first"], row["last"], row["stage"], row["joined"])
