"""Reads many heads at once, in Postgres."""

from collections.abc import Collection

from app.core.keys import SessionKey
from app.stores.head import Head
from app.stores.postgres.arguments import known
from app.stores.postgres.database import Database
from app.stores.postgres.rows import load_head


class PostgresHeads:
    """Heads by their keys, of any tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def peek(self, keys: Collection[SessionKey]) -> dict[SessionKey, Head]:
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}
        rows = await self._database.call("peek_v1", *map(list, zip(*map(known, wanted), strict=True)))
        return {wanted[row["place"] - 1]: load_head(row["head"]) for row in rows}
