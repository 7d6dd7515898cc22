"""Large bytes by content, in Redis, and who names them.

A blob lies under the first byte of its hash, a session under its own partition: on a cluster no script sees both. So
what is said of a name here is a hint, and the session's own set of blobs, which its scripts keep, is the truth.

* Before a log write that names blobs, each blob is told (`BlobNames.add`), which also touches it.
* After a session's deletion each blob is told (`BlobNames.remove`): the name is released, not yet gone, and the blob
  is touched, so that its 24 hours begin.
* Only a blob that nobody touched for 24 hours is looked at (`collect`). It stays, touched, if a session's own set still
  holds it. It goes if no name is left that was not found stale; a name that is stale but was never released (its
  session's deletion, or the write itself, was cut short) is released then, and costs another 24 hours.

This is safe, for a blob goes only by a script that sees it still untouched for 24 hours. A write that names it has
touched it before: either less than 24 hours ago, and the script does nothing; or longer ago, and then the write has
long succeeded, so that the session's set said so when it was asked, or it never will. No write takes 24 hours. It
does not matter which of two sessions' deletions, writes and re-creations under one key come first, since
releasing a name decides nothing by itself.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from urllib.parse import quote, unquote

from msgspec import Struct

from app.core.errors import BlobNotFound
from app.core.ids import TenantId
from app.core.keys import SessionKey
from app.core.messages import BlobRef
from app.stores.base import BLOB_GRACE_SECONDS
from app.stores.embedded.blobs import checked
from app.stores.redis.clock import Stamp
from app.stores.redis.connection import Call, Connection
from app.stores.redis.names import BLOB_PARTITIONS, blob, blob_ages, session_blobs

AGED_PER_PARTITION = 32
"""How many blobs of one partition a collection looks at."""
NAMES_PER_LOOK = 100
"""How many names of one blob a collection asks after; a blob with more is looked at again."""


class _Blob(Struct, frozen=True):
    """A blob, by whose it is and its hash."""

    tenant: TenantId
    sha256: str

    def encode(self) -> str:
        return f"{quote(self.tenant, safe='')}:{self.sha256}"

    @classmethod
    def decode(cls, text: str) -> "_Blob":
        tenant, _, sha256 = text.partition(":")
        return cls(TenantId(unquote(tenant)), sha256)

    @property
    def data(self) -> str:
        return blob(self.tenant, self.sha256, "data")

    @property
    def names(self) -> str:
        return blob(self.tenant, self.sha256, "names")

    @property
    def ages(self) -> str:
        return blob_ages(self.sha256[:2])


class RedisBlobs:
    """Bytes by tenant and SHA-256."""

    def __init__(self, connection: Connection, stamp: Stamp) -> None:
        self._redis = connection
        self._stamp = stamp

    async def put(self, tenant: TenantId, data: bytes, media_type: str) -> BlobRef:
        ref = await asyncio.to_thread(checked, data, media_type)
        one = _Blob(tenant, ref.sha256)
        await self._redis.run("blob_put", (one.data, one.ages), (data, one.encode(), self._stamp()))
        return ref

    async def get(self, tenant: TenantId, sha256: str) -> bytes:
        data = await self._redis.command("GET", _Blob(tenant, sha256).data)
        if data is None:
            raise BlobNotFound(f"there is no blob {sha256}")
        return data

    async def collect(self, limit: int) -> int:
        gone = 0
        aged = await self._aged()
        while aged and gone < limit:
            room = limit - gone
            gone += await self._settle(aged[:room])
            aged = aged[room:]
        return gone

    async def _aged(self) -> Sequence[_Blob]:
        args = (BLOB_GRACE_SECONDS, AGED_PER_PARTITION, self._stamp())
        found = await self._redis.many([("blob_aged", (blob_ages(number),), args) for number in BLOB_PARTITIONS])
        return [_Blob.decode(text.decode()) for partition in found for text in partition]

    async def _settle(self, aged: Sequence[_Blob]) -> int:
        """Each of the blobs is kept, or gone; gives how many are."""
        found = await self._redis.commands([("HRANDFIELD", one.names, NAMES_PER_LOOK) for one in aged])
        names = [(one, name.decode()) for one, some in zip(aged, found, strict=True) for name in some]
        held: set[_Blob] = set()
        stale: defaultdict[_Blob, list[str]] = defaultdict(list)
        for (one, name), holds in zip(names, await self._holding(names), strict=True):
            if holds:
                held.add(one)
            else:
                stale[one].append(name)
        return sum(await self._redis.many([self._settling(one, one in held, stale[one]) for one in aged]))

    async def _holding(self, names: Sequence[tuple[_Blob, str]]) -> Sequence[int]:
        """Gives, for each name, whether the session's own set holds the blob."""
        keys = [session_blobs(SessionKey.decode(name)) for _, name in names]
        return await self._redis.commands(
            [("SISMEMBER", key, one.sha256) for key, (one, _) in zip(keys, names, strict=True)]
        )

    def _settling(self, one: _Blob, held: bool, stale: Sequence[str]) -> Call:
        args = (one.encode(), BLOB_GRACE_SECONDS, self._stamp(), int(held), *stale)
        return "blob_settle", (one.data, one.names, one.ages), args


class BlobNames:
    """What sessions tell the blobs that their logs name."""

    def __init__(self, connection: Connection, stamp: Stamp) -> None:
        self._redis = connection
        self._stamp = stamp

    async def add(self, key: SessionKey, shas: Collection[str]) -> None:
        """The session may name those blobs: none of them, there or yet to come, goes within 24 hours. Repeatable.

        Called before the log write, which then names them for good by the session's own set.
        """
        await self._tell(key, shas, "held")

    async def remove(self, key: SessionKey, shas: Collection[str]) -> None:
        """The session has let go of those blobs; 24 hours from now they may go, if nobody holds them. Repeatable."""
        await self._tell(key, shas, "released")

    async def _tell(self, key: SessionKey, shas: Collection[str], state: str) -> None:
        name, now = key.encode(), self._stamp()
        told = [_Blob(key.tenant, sha256) for sha256 in sorted(shas)]
        await self._redis.many([("blob_name", (one.names, one.ages), (name, state, one.encode(), now)) for one in told])
