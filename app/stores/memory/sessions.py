"""Sessions in memory: one call is one transaction, because nothing here ever waits."""

from collections.abc import Callable
from heapq import nlargest
from typing import TypeVar

from app.core.ids import AgentId, SessionId, TenantId, UserId
from app.stores.embedded.tables import Tables
from app.stores.fairness import Waiting
from app.stores.memory.contents import Contents
from app.stores.memory.tables import MemoryTables

T = TypeVar("T")


class MemoryTransactions:
    """Runs transactions over the contents, each at once: they decide first and then write, which cannot fail."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._tables = MemoryTables(contents)

    async def write(self, work: Callable[[Tables], T]) -> T:
        return work(self._tables)

    async def read(self, work: Callable[[Tables], T]) -> T:
        return work(self._tables)

    async def list(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Waiting, ...]:
        keys = self._contents.users.get((tenant, user), set())
        found = [(key, self._contents.sessions[key].head) for key in keys if agent in (None, key.agent)]
        older = [item for item in found if before is None or _place(item) < before]
        return tuple(nlargest(limit, older, key=_place))


def _place(item: Waiting) -> tuple[float, SessionId]:
    key, head = item
    return head.created_at, key.session
