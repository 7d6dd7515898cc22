"""The port of authentication: who is calling, as the request's headers prove it."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from app.core.ids import TenantId, UserId


class Principal(Struct, frozen=True):
    """Somebody, proven. Every read and write carries the tenant."""

    tenant: TenantId
    user: UserId
    scopes: frozenset[str] = frozenset({"chat", "read"})


class Authenticator(Protocol):
    """Tells who is calling."""

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Gives the principal; header names are in lower case. Raises Unauthenticated or Forbidden."""
        ...
