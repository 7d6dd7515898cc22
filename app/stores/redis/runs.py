"""`Runs` in Redis: a run's id names its session's partition and digest, under which its row lies."""

from typing import cast

from app.core.errors import StoreCorrupt
from app.core.ids import Birth, RunId, TenantId
from app.core.keys import SessionKey
from app.stores.base import RunEntry, RunStage
from app.stores.redis.connection import Connection
from app.stores.redis.layout import runs


class RedisRuns:
    """Finds runs by their id."""

    def __init__(self, connection: Connection) -> None:
        self._redis = connection

    async def find(self, tenant: TenantId, run_id: RunId) -> RunEntry | None:
        name = runs(tenant, run_id)
        if name is None:
            return None
        row, session = await self._redis.command("HMGET", name, run_id, "session")
        if row is None:
            return None
        try:
            return _entry(run_id, row.decode(), session.decode())
        except (AttributeError, ValueError) as error:
            raise StoreCorrupt(f"the row of {run_id} cannot be read: {error}") from error


def _entry(run_id: RunId, row: str, session: str) -> RunEntry:
    """Gives the run whose row is `first:last:stage:joined`, and whose session the encoded key, `/` and the birth."""
    first, last, stage, joined = row.split(":", 3)
    *parts, birth = session.split("/", 4)
    return RunEntry(
        run_id,
        SessionKey.decode("/".join(parts)),
        Birth(birth),
        int(first),
        int(last) if last else None,
        cast("RunStage", stage),
        RunId(joined) if joined else None,
    )
