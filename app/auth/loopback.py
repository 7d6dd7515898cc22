"""No credentials configured: whoever is on this machine is the anonymous user, and no web page is.

A browser lets any page send requests to an open local port, and a name that a page's owner controls may resolve to
127.0.0.1 (DNS rebinding). So the request must say that it meant this machine (Host), and must not come from a page of
another place (Origin, Sec-Fetch-Site; Fetch Metadata, https://www.w3.org/TR/fetch-metadata/).
"""

import re
from collections.abc import Collection, Mapping

from app.auth.base import Principal
from app.core.errors import Forbidden
from app.core.ids import ANONYMOUS, TenantId

DEFAULT_TENANT = TenantId("default")

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)


class LoopbackAuthenticator:
    """Takes every request of this machine's programs and of pages this server gave out; refuses other web pages."""

    def __init__(self, origins: Collection[str] = ()) -> None:
        """`origins` may call too, from their own pages: what BATON_CORS_ORIGINS names."""
        self._origins = frozenset(origin.lower() for origin in origins)
        self._principal = Principal(tenant=DEFAULT_TENANT, user=ANONYMOUS)

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        host = headers.get("host", "")
        if not _HOST.fullmatch(host):
            raise Forbidden(
                f"without API keys this server answers only to localhost, 127.0.0.1 and [::1], not to {host[:80]!r}; "
                "use such an address, or set BATON_KEYS_FILE"
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self._origins:
            return self._principal
        if origin is not None and _without_default_port(origin) != _without_default_port(f"http://{host}"):
            raise Forbidden(
                f"a page of {origin[:80]!r} may not call this server; if it is yours, name it in BATON_CORS_ORIGINS"
            )
        if headers.get("sec-fetch-site", "").lower() == "cross-site":
            raise Forbidden("a page of another site may not use this server without an API key; set BATON_KEYS_FILE")
        return self._principal


def _without_default_port(origin: str) -> str:
    return origin.lower().removesuffix(":80")
