"""Session keys: who owns a session, and the one spelling of it that a store may use."""

import re
from functools import lru_cache
from hashlib import sha256
from typing import Self
from urllib.parse import quote, unquote

from msgspec import Struct

from app.core.errors import InvalidInput
from app.core.ids import AgentId, Ids, RunId, SessionId, TenantId, UserId

DIGEST_CHARS = 16
"""How much of a key's digest a run id carries: 64 bits."""

_RUN_ID = re.compile(r"run_([0-9a-f]{2})[0-9a-f]{14}_.+", re.ASCII)


class SessionKey(Struct, frozen=True, order=True):
    """Names one session: tenant, user, agent, session. Tenant and user come from authentication, never from a body."""

    tenant: TenantId
    user: UserId
    agent: AgentId
    session: SessionId

    def encode(self) -> str:
        """Gives the key as text in which no two keys collide: each part percent-encoded, joined by `/`."""
        return "/".join(map(_quoted, (self.tenant, self.user, self.agent, self.session)))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Undoes `encode`. Raises ValueError for text that `encode` cannot have made."""
        tenant, user, agent, session = (unquote(part, errors="strict") for part in text.split("/"))
        return cls(TenantId(tenant), UserId(user), AgentId(agent), SessionId(session))

    def digest(self) -> str:
        """Gives the SHA-256 of the encoded key in hex; its first byte is the key's partition, for ever."""
        return _digest(self)

    def partition(self) -> str:
        """Gives the key's partition as 2 hex digits: what shares a partition is decided together."""
        return self.digest()[:2]


@lru_cache(maxsize=4096)
def _quoted(part: str) -> str:
    return quote(part, safe="")


@lru_cache(maxsize=4096)
def _digest(key: SessionKey) -> str:
    """One request asks for its session's several times."""
    return sha256(key.encode().encode()).hexdigest()


def new_run_id(key: SessionKey, ids: Ids) -> RunId:
    """Names a run of that session; the id carries the session's digest, and so its partition."""
    return RunId(f"run_{key.digest()[:DIGEST_CHARS]}_{ids.token()}")


def check_run_id(key: SessionKey, run_id: RunId) -> None:
    """The run id names that session. Raises InvalidInput if it names another one, or none."""
    if not run_id.startswith(f"run_{key.digest()[:DIGEST_CHARS]}_"):
        raise InvalidInput(f"run {run_id} belongs to another session")


def partition_of_run(run_id: RunId) -> str | None:
    """Gives the partition of the run's session as 2 hex digits, or None for an id that names no session."""
    match = _RUN_ID.fullmatch(run_id)
    return match[1] if match else None


def derived_session_id(tenant: TenantId, user: UserId, idempotency_key: str) -> SessionId:
    """Gives the session id of a request that named none but repeats itself: the same three, the same session."""
    text = "/".join(map(_quoted, (tenant, user, idempotency_key)))
    return SessionId("ses_" + sha256(text.encode()).hexdigest()[:24])
