"""A user's sessions, listed by when they were created; once for all of them, and once for each agent.

A list is a sorted set whose members carry their own order: the time of creation, the session, the agent. A member is
written before its session's head, and counts only while that head has the same time. So a list is never wrong: it is
read against the heads, and what they do not bear out is passed over, and removed once it cannot come true any more.
"""

import struct
from collections.abc import Sequence

from app.core.clock import Clock
from app.core.ids import AgentId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.stores.base import Summary
from app.stores.head import Head
from app.stores.redis.connection import Connection
from app.stores.redis.heads import RedisHeads
from app.stores.redis.layout import agent_sessions, layout, user_sessions

IDLE_SECONDS = 3600.0
"""How old a member must be before it is removed for want of a head. No session takes that long to be created."""
_NUL, _ESCAPED, _END = "\x00", "\x00\x01", "\x00\x00"

Entry = tuple[SessionKey, float]
"""A session, and when it was created."""


class UserLists:
    """Every user's lists."""

    def __init__(self, connection: Connection, heads: RedisHeads, clock: Clock) -> None:
        self._redis = connection
        self._heads = heads
        self._clock = clock

    async def add(self, key: SessionKey, created_at: float) -> None:
        """The session is listed, once its head is stored with that time."""
        member = _member(key, created_at)
        await self._redis.commands([("ZADD", name, 0, member) for name in layout(key).lists])

    async def remove(self, *entries: Entry) -> None:
        """The sessions that were created then are not listed any more."""
        members = ((key, _member(key, created_at)) for key, created_at in entries)
        await self._redis.commands([("ZREM", name, member) for key, member in members for name in layout(key).lists])

    async def page(
        self, tenant: TenantId, user: UserId, agent: AgentId | None, before: tuple[float, SessionId] | None, limit: int
    ) -> tuple[Summary, ...]:
        """Gives a user's sessions, newest first, that follow `before`."""
        name = user_sessions(tenant, user) if agent is None else agent_sessions(tenant, user, agent)
        found: list[Summary] = []
        end = b"+" if before is None else b"(" + _time(before[0]) + place_of(before[1]).encode()
        while len(found) < limit:
            wanted = limit - len(found)
            members = await self._redis.command("ZRANGE", name, end, "-", "BYLEX", "REV", "LIMIT", 0, wanted)
            found += await self._listed(tenant, user, members)
            if len(members) < wanted:
                break
            end = b"(" + members[-1]
        return tuple(found)

    async def _listed(self, tenant: TenantId, user: UserId, members: Sequence[bytes]) -> list[Summary]:
        """Gives those of the members whose heads bear them out."""
        entries = [_entry(tenant, user, member) for member in members]
        heads = await self._heads.peek([key for key, _ in entries])
        good = [(key, at) for key, at in entries if key in heads and heads[key].created_at == at]
        oldest = self._clock.now().timestamp() - IDLE_SECONDS
        await self.remove(*((key, at) for key, at in entries if at < oldest and (key, at) not in good))
        return [_summary(key, heads[key]) for key, _ in good]


def place_of(session: SessionId, agent: str = "") -> str:
    """Gives a text whose UTF-8 is in the order of sessions, then of agents; without an agent it is before them all."""
    return session.replace(_NUL, _ESCAPED) + _END + agent


def _member(key: SessionKey, created_at: float) -> bytes:
    return _time(created_at) + place_of(key.session, key.agent).encode()


def _time(created_at: float) -> bytes:
    """Gives bytes that are in the order of the times: such is a double that is not negative."""
    return struct.pack(">d", max(created_at, 0.0))


def _entry(tenant: TenantId, user: UserId, member: bytes) -> Entry:
    (created_at,) = struct.unpack_from(">d", member)
    session, _, agent = member[8:].decode().partition(_END)
    return SessionKey(tenant, user, AgentId(agent), SessionId(session.replace(_ESCAPED, _NUL))), created_at


def _summary(key: SessionKey, head: Head) -> Summary:
    return Summary(key, head.birth, head.seq, head.title, head.status, head.created_at, head.updated_at)
