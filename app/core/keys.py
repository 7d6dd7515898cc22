"""Session keys: who owns a session, and the one spelling of it that a store may use."""

from hashlib import sha256
from typing import Self
from urllib.parse import quote, unquote

from msgspec import Struct

from app.core.ids import AgentId, Ids, RunId, SessionId, TenantId, UserId

DIGEST_CHARS = 16
"""How much of a key's digest a run id carries: 64 bits."""


class SessionKey(Struct, frozen=True, order=True):
    """Names one session: tenant, user, agent, session. Tenant and user come from authentication, never from a body."""

    tenant: TenantId
    user: UserId
    agent: AgentId
    session: SessionId

    def encode(self) -> str:
        """Gives the key as text in which no two keys collide: each part percent-encoded, joined by `/`."""
        return "/".join(quote(part, safe="") for part in (self.tenant, self.user, self.agent, self.session))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Undoes `encode`. Raises ValueError for text that `encode` cannot have made."""
        tenant, user, agent, session = (unquote(part, errors="strict") for part in text.split("/"))
        return cls(TenantId(tenant), UserId(user), AgentId(agent), SessionId(session))

    def digest(self) -> str:
        """Gives the SHA-256 of the encoded key in hex; its first byte is the key's partition, for ever."""
        return sha256(self.encode().encode()).hexdigest()


def new_run_id(key: SessionKey, ids: Ids) -> RunId:
    """Names a run of that session; the id carries the session's digest, and so its partition."""
    return RunId(f"run_{key.digest()[:DIGEST_CHARS]}_{ids.token()}")


def derived_session_id(tenant: TenantId, user: UserId, idempotency_key: str) -> SessionId:
    """Gives the session id of a request that named none but repeats itself: the same three, the same session."""
    text = "/".join(quote(part, safe="") for part in (tenant, user, idempotency_key))
    return SessionId("ses_" + sha256(text.encode()).hexdigest()[:24])
