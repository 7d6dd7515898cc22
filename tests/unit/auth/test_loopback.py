"""Without credentials, this machine's programs and this server's own pages may call, and no other web page."""

import pytest

from app.auth.base import Principal
from app.auth.loopback import DEFAULT_TENANT, LoopbackAuthenticator
from app.core.errors import Forbidden
from app.core.ids import ANONYMOUS


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:8000"]
)
def test_this_machine_is_the_anonymous_user(host: str) -> None:
    principal = LoopbackAuthenticator().authenticate({"host": host})
    assert principal == Principal(tenant=DEFAULT_TENANT, user=ANONYMOUS)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0:8000", "localhost:8000@evil", "::1",
     "localhost\n", "localhost:", "127.0.0.2", "[::2]", "localhost:\uff18\uff10", "xlocalhost"],
)  # fmt: skip
def test_trap_rebound_name_reaches_the_port(host: str) -> None:
    """A page whose name resolves to 127.0.0.1 reaches the local port, but its Host header gives it away."""
    with pytest.raises(Forbidden, match="localhost"):
        LoopbackAuthenticator().authenticate({"host": host})


def test_a_request_without_host_is_refused() -> None:
    with pytest.raises(Forbidden):
        LoopbackAuthenticator().authenticate({})


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("LocalHost:8000", "http://localhost:8000"),
    ],
)
def test_a_page_of_this_server_may_call(host: str, origin: str) -> None:
    headers = {"host": host, "origin": origin, "sec-fetch-site": "same-origin"}
    assert LoopbackAuthenticator().authenticate(headers).user == ANONYMOUS


@pytest.mark.parametrize(
    "origin",
    ["null", "", "https://evil.example", "http://localhost:3000", "http://127.0.0.1:8000", "https://localhost:8000",
     "http://localhost", "http://localhost:80", "http://localhost:80000", "file://", "chrome-extension://abc"],
)  # fmt: skip
def test_trap_any_origin_is_let_in(origin: str) -> None:
    """A server that echoes any Origin lets every web page use the tools that write files."""
    with pytest.raises(Forbidden):
        LoopbackAuthenticator().authenticate({"host": "localhost:8000", "origin": origin})


def test_a_cross_site_request_without_origin_is_refused() -> None:
    with pytest.raises(Forbidden, match="another site"):
        LoopbackAuthenticator().authenticate({"host": "localhost:8000", "sec-fetch-site": "cross-site"})


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_a_browser_that_was_told_the_address_may_call(site: str) -> None:
    assert LoopbackAuthenticator().authenticate({"host": "localhost:8000", "sec-fetch-site": site})


def test_an_origin_that_was_named_may_call() -> None:
    authenticator = LoopbackAuthenticator(["http://localhost:5173"])
    headers = {"host": "localhost:8000", "origin": "http://localhost:5173", "sec-fetch-site": "same-site"}
    assert authenticator.authenticate(headers).tenant == DEFAULT_TENANT
    with pytest.raises(Forbidden):
        authenticator.authenticate(headers | {"origin": "http://localhost:5174"})
    with pytest.raises(Forbidden):
        authenticator.authenticate(headers | {"host": "evil.example"})
