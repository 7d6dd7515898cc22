"""Sessions from outside: making, reading, listing and deleting them."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from app.auth.base import Principal
from app.core.errors import BadCursor
from app.core.ids import AgentId, Birth, SessionId
from app.core.keys import SessionKey
from app.core.messages import Message, ToolResultPart
from app.core.records import Entry, InputSteered, MessageAppended, RunQueued, SessionCreated, ToolFinished
from app.engine.ledger import StoredLedger
from app.engine.services import Services
from app.engine.spill import fill_messages
from app.engine.views import MessagePage, MessageView, SessionPage, SessionView
from app.stores.base import Position, Summary
from app.stores.bus import Gone
from app.stores.head import Head

SCAN = 256
"""Records read at a time while looking for messages."""
PAGE_BYTES = 4 * 1024 * 1024
"""A page of messages ends with the one that takes its texts from blobs beyond this."""


class SessionDesk:
    """Reads and changes sessions on behalf of their owner."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def create(
        self, who: Principal, agent: AgentId, session: SessionId | None, title: str, metadata: dict[str, str]
    ) -> SessionView:
        """The session exists, without a run. Raises AgentNotFound and SessionExists."""
        services = self._services
        services.catalog.get(agent)
        key = _key(who, agent, session or SessionId(f"ses_{services.ids.token()}"))
        record = SessionCreated(at=services.clock.now(), title=title, metadata=metadata)
        await services.stores.sessions.append(key, Position(Birth(services.ids.token()), 0), [record])
        return await self.view(who, agent, key.session)

    async def view(self, who: Principal, agent: AgentId, session: SessionId) -> SessionView:
        """Gives the session as its head has it. Raises SessionNotFound."""
        key = _key(who, agent, session)
        log = await self._services.stores.sessions.read(key, 0, 1)
        created = log.entries[0].record if log.entries else None
        view = _view(key, log.head)
        return replace(view, metadata=created.metadata) if isinstance(created, SessionCreated) else view

    async def page(self, who: Principal, agent: AgentId | None, cursor: str | None, limit: int) -> SessionPage:
        """Gives sessions, newest first. Raises BadCursor."""
        before = None if cursor is None else _decode_cursor(cursor)
        found = await self._services.stores.sessions.list(who.tenant, who.user, agent, before, limit + 1)
        more = _encode_cursor(found[limit - 1]) if len(found) > limit else None
        return SessionPage(sessions=tuple(_summary(summary) for summary in found[:limit]), next=more)

    async def delete(self, who: Principal, agent: AgentId, session: SessionId) -> None:
        """Nothing of the session is left. Raises SessionNotFound."""
        key = _key(who, agent, session)
        stores = self._services.stores
        head = (await stores.sessions.read(key, 0, 1)).head
        await stores.sessions.delete(key)
        stores.bus.publish(key, Gone(head.birth))
        await StoredLedger(stores.keyvalue, key).clear()
        await self._services.workspaces.delete(key)

    async def messages(self, who: Principal, agent: AgentId, session: SessionId, after: int, limit: int) -> MessagePage:
        """Gives messages after a seq, in the log's order, with their whole texts. Raises SessionNotFound."""
        key = _key(who, agent, session)
        found: list[MessageView] = []
        room = PAGE_BYTES
        while True:
            log = await self._services.stores.sessions.read(key, after, SCAN)
            for entry in log.entries:
                after = entry.seq
                for view in _messages(entry):
                    found.append(await self._fill(view, key))
                    room -= _filled_bytes(view)
                if len(found) >= limit or room <= 0:
                    return MessagePage(messages=tuple(found), next=after if after < log.head.seq else None)
            if not log.entries or after >= log.head.seq:
                return MessagePage(messages=tuple(found))

    async def _fill(self, view: MessageView, key: SessionKey) -> MessageView:
        filled = await fill_messages([view.message], key.tenant, self._services.stores.blobs)
        return replace(view, message=filled[0])


def _key(who: Principal, agent: AgentId, session: SessionId) -> SessionKey:
    return SessionKey(who.tenant, who.user, agent, session)


def _view(key: SessionKey, head: Head) -> SessionView:
    return SessionView(
        agent=key.agent,
        session_id=key.session,
        title=head.title,
        status=head.status,
        created_at=_time(head.created_at),
        updated_at=_time(head.updated_at),
        seq=head.seq,
        run_id=head.active,
        queued=head.queue,
    )


def _summary(summary: Summary) -> SessionView:
    return SessionView(
        agent=summary.key.agent,
        session_id=summary.key.session,
        title=summary.title,
        status=summary.status,
        created_at=_time(summary.created_at),
        updated_at=_time(summary.updated_at),
        seq=summary.seq,
    )


def _messages(entry: Entry) -> list[MessageView]:
    """Gives the message in an entry: what was asked, answered, added or found."""
    record = entry.record
    match record:
        case RunQueued() | InputSteered():
            message = Message(role="user", parts=record.input)
        case MessageAppended(message=message):
            pass
        case ToolFinished(result=result):
            message = Message(role="tool", parts=(result,))
        case _:
            return []
    return [MessageView(seq=entry.seq, at=record.at, run_id=record.run_id, message=message)]


def _filled_bytes(view: MessageView) -> int:
    """Gives how much text of the message comes from blobs."""
    blobs = (getattr(part, "blob", None) for part in view.message.parts if not isinstance(part, ToolResultPart))
    return sum(blob.size for blob in blobs if blob is not None)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _encode_cursor(summary: Summary) -> str:
    body = msgspec.json.encode((summary.created_at, summary.key.session))
    return urlsafe_b64encode(body).decode().rstrip("=")


def _decode_cursor(cursor: str) -> tuple[float, SessionId]:
    try:
        body = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        created_at, session = msgspec.json.decode(body, type=tuple[float, str])
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise BadCursor(f"{cursor[:80]!r} is not a cursor of this list; leave it out to start over") from error
    return created_at, SessionId(session)
