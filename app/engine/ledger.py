"""Where keyed tools note what they are about to do: in the shared store, so that any replica can recall it."""

from urllib.parse import quote

from app.core.keys import SessionKey
from app.stores.base import KeyValue

PAGE = 256


class StoredLedger:
    """The notes of one session's calls."""

    def __init__(self, keyvalue: KeyValue, session: SessionKey) -> None:
        self._keyvalue = keyvalue
        self._session = session
        self._noted: list[str] = []

    async def note(self, key: str, data: bytes) -> None:
        """The note is durable."""
        await self._keyvalue.put(self._session.tenant, self._path(key), data)
        self._noted.append(key)

    async def recall(self, key: str) -> bytes | None:
        """Gives the note, or None."""
        value = await self._keyvalue.get(self._session.tenant, self._path(key))
        return None if value is None else value.data

    async def forget(self) -> None:
        """What was noted here is gone: the calls have their results, and will not be run again."""
        while self._noted:
            await self._keyvalue.delete(self._session.tenant, self._path(self._noted.pop()))

    async def clear(self) -> None:
        """No note of the session is left."""
        tenant, prefix = self._session.tenant, self._path("")
        while names := await self._keyvalue.search(tenant, prefix, "", PAGE):
            for name, _ in names:
                await self._keyvalue.delete(tenant, name)

    def _path(self, key: str) -> str:
        return f"ledger/{self._session.encode()}/{quote(key, safe=':')}"
