"""The keys of a session, as scripts want them: in one fixed order, all of one hash tag.

`lua/shared/session.lua` names the first ten, whatever the script; what follows them is the script's own business.
"""

from functools import lru_cache
from urllib.parse import quote

from msgspec import Struct

from app.core.ids import AgentId, Birth, Incarnation, RunId, TenantId, UserId
from app.core.keys import DIGEST_CHARS, SessionKey, partition_of_run

REMEMBERED = 4096
"""Sessions whose keys are kept at hand: to make them costs as much as to send them."""


class Layout(Struct, frozen=True):
    """Where a session lies."""

    tag: str
    digest: str
    encoded: str
    keys: tuple[str, ...]
    """Head, log, checkpoints, requests, their order, runs, blobs; ready ones of the tenant, who waits, who runs."""
    lists: tuple[str, str]
    """Of the user's sessions, and of those with that agent; they have a hash tag of their own."""

    def tombstone(self, birth: Birth | str = "") -> str:
        """Names what is left of the log of that birth; without one, what all of them begin with."""
        return f"{self.tag}tombstone:{self.digest}:{_quoted(birth)}"

    def owned(self, incarnation: Incarnation) -> str:
        """Names the sessions that the incarnation owns in this partition."""
        return owned(self.tag, incarnation)


@lru_cache(maxsize=REMEMBERED)
def layout(key: SessionKey) -> Layout:
    """Gives the session's layout."""
    digest, encoded = key.digest(), key.encode()
    tag, tenant = partition_tag(digest[:2]), _quoted(key.tenant)
    parts = ("head", "log", "checkpoints", "requests", "requests:order")
    keys = (
        *(f"{tag}session:{encoded}:{part}" for part in parts),
        f"{tag}runs:{tenant}:{digest[:DIGEST_CHARS]}",
        f"{tag}session:{encoded}:blobs",
        f"{tag}ready:{tenant}",
        waiting(tag),
        running(tag),
    )
    lists = (user_sessions(key.tenant, key.user), agent_sessions(key.tenant, key.user, key.agent))
    return Layout(tag, digest, encoded, keys, lists)


def partition_tag(partition: str) -> str:
    """Gives what the name of everything in that partition begins with."""
    return f"baton:{{{partition}}}:"


def owned(tag: str, incarnation: Incarnation) -> str:
    """Names the hash of the sessions that the incarnation owns there, with their nonces."""
    return f"{tag}owned:{_quoted(incarnation)}"


def waiting(tag: str) -> str:
    """Names the sorted set of the tenants that have a ready session there, by since when the oldest one is."""
    return f"{tag}waiting"


def running(tag: str) -> str:
    """Names the hash of how many sessions of each tenant have an owner there."""
    return f"{tag}running"


def runs(tenant: TenantId, run_id: RunId) -> str | None:
    """Names the hash of the runs of the session that the run id names; None for an id that names none."""
    partition = partition_of_run(run_id)
    if partition is None:
        return None
    digest = run_id.removeprefix("run_")[:DIGEST_CHARS]
    return f"{partition_tag(partition)}runs:{_quoted(tenant)}:{digest}"


def user_sessions(tenant: TenantId, user: UserId) -> str:
    """Names the list of a user's sessions."""
    return f"baton:{{user/{_quoted(tenant)}/{_quoted(user)}}}:sessions"


def agent_sessions(tenant: TenantId, user: UserId, agent: AgentId) -> str:
    """Names the list of a user's sessions with that agent."""
    return f"{user_sessions(tenant, user)}:{_quoted(agent)}"


def _quoted(component: str) -> str:
    return quote(component, safe="")
