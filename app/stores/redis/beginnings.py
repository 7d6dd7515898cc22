"""Scripts that may begin a log: its session is in its user's lists before it is anywhere else."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from app.core.keys import SessionKey
from app.stores.redis.connection import Connection
from app.stores.redis.layout import layout
from app.stores.redis.listing import UserLists, place_of
from app.stores.redis.partitions import Partitions
from app.stores.redis.requests import Beginning, encode


class Beginnings:
    """Runs such scripts: in one round trip where one server has the lists too, else in three for a new session."""

    def __init__(self, connection: Connection, partitions: Partitions, lists: UserLists) -> None:
        self._redis = connection
        self._partitions = partitions
        self._lists = lists

    async def run(self, script: str, key: SessionKey, request: Beginning, own: Sequence[str] = ()) -> list[Any]:
        """Gives the script's answer; `own` are keys of its own, after those of the session."""
        return await self._partitions.either(
            lambda: self._at_once(script, key, request, own), lambda: self._in_steps(script, key, request, own)
        )

    async def _at_once(self, script: str, key: SessionKey, request: Beginning, own: Sequence[str]) -> list[Any]:
        listed = replace(request, place=place_of(key.session, key.agent))
        return await self._run(script, key, listed, (*layout(key).lists, *own))

    async def _in_steps(self, script: str, key: SessionKey, request: Beginning, own: Sequence[str]) -> list[Any]:
        reply = await self._run(script, key, request, own)
        while reply[0] == b"absent":
            created_at = float(reply[1])
            await self._lists.add(key, created_at)
            reply = await self._run(script, key, replace(request, created_at=created_at), own)
        return reply

    async def _run(self, script: str, key: SessionKey, request: Beginning, more: Sequence[str]) -> list[Any]:
        where = layout(key)
        return await self._redis.run(script, (*where.keys, where.tombstone(request.birth), *more), (encode(request),))
