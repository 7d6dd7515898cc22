"""`Heads` in Redis: many heads in one round trip."""

from collections.abc import Collection

from app.core.keys import SessionKey
from app.stores.head import Head
from app.stores.redis.layout import layout
from app.stores.redis.partitions import Partitions
from app.stores.redis.requests import load_head


class RedisHeads:
    """Reads many heads at once."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def peek(self, keys: Collection[SessionKey]) -> dict[SessionKey, Head]:
        wanted = tuple(dict.fromkeys(keys))
        packed = await self._partitions.values([layout(key).keys[0] for key in wanted])
        return {key: load_head(head) for key, head in zip(wanted, packed, strict=True) if head is not None}
