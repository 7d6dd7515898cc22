from re import escape
from traceback import format_exception

import pytest

from app.core.errors import ConfigError
from app.stores.addresses import REDIS_SCHEMES
from app.stores.redis.addresses import Address, Login, parse

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", Address(topology="server", hosts=(("h", 6379),))),
        ("redis://h:1/7", Address(topology="server", hosts=(("h", 1),), db=7)),
        ("redis://[::1]:2", Address(topology="server", hosts=(("::1", 2),))),
        ("redis://:p%40w@h", Address(topology="server", hosts=(("h", 6379),), login=Login(None, "p@w"))),
        ("redis://u:a:b@h", Address(topology="server", hosts=(("h", 6379),), login=Login("u", "a:b"))),
        (
            "rediss://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            Address(
                topology="server",
                hosts=(("h", 6379),),
                tls=True,
                tls_options=(("ssl_ca_certs", "/ca.pem"), ("ssl_check_hostname", False)),
            ),
        ),
        ("redis+cluster://a:1,b", Address(topology="cluster", hosts=(("a", 1), ("b", 6379)))),
        ("redis+cluster://a?tls=true", Address(topology="cluster", hosts=(("a", 6379),), tls=True)),
        (
            "redis+sentinel://u:p@a,b:2/main/3?sentinel_password=q",
            Address(
                topology="sentinel",
                hosts=(("a", 26379), ("b", 2)),
                service="main",
                db=3,
                login=Login("u", "p"),
                sentinel_login=Login(None, "q"),
            ),
        ),
    ],
)
def test_a_url_is_understood(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis:",
        "redis://",
        "http://h",
        "unix:///r.sock",
        "redis://h:port",
        "redis://h:99999",
        "redis://a,b",
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/-1",
        "redis://h#x",
        "redis://h?ssl_ca_certs=",
        "redis://h?timeout=5",
        "redis://h?tls=true",
        "redis+cluster://a/1",
        "redis+cluster://a,,b",
        "redis+sentinel://a",
        "redis+sentinel://a/main/x",
        "redis+sentinel://a/main?tls=perhaps",
    ],
)
def test_a_url_that_means_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        parse(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://u:p@", "no address of a Redis"),
        ("redis://h:port", "no address of a Redis"),
        ("redis://h1,h2/0", "several hosts"),
        ("redis://h/first", "a number"),
        ("redis+cluster://h:1/3", "database 0 only"),
        ("redis+sentinel://:p@h:1", "needs the name"),
        ("redis://h?timeout=5", "'timeout' is unknown"),
        ("redis://h/0 ", "a space as %20"),
    ],
)
def test_a_refusal_names_the_variable_the_reason_and_the_fix(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"BATON_BUS_URL: .*{reason}.*; write "):
        parse(url, "BATON_BUS_URL")


@pytest.mark.parametrize("rest", ["h:port", "h/x", "a,b", "h?x=1", "h#x"])
def test_no_error_repeats_a_password(rest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"redis://u:{SECRET}@{rest}")
    assert SECRET not in "".join(format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        f"redis://u:{SECRET}/x@h",
        f"redis://u:x/{SECRET}@h",
        f"redis://u:x?{SECRET}@h",
        f"redis://:x?{SECRET}",
        f"redis://u:x#{SECRET}@h",
        f"redis://u:[{SECRET}]@h",
        f"redis://u:{SECRET}\u2100@h",
        f"redis://u:{SECRET}",
    ],
)
def test_no_error_repeats_a_password_that_is_spelled_wrongly(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(url)
    assert SECRET not in "".join(format_exception(caught.value))


def test_the_settings_know_the_same_schemes() -> None:
    for scheme in REDIS_SCHEMES:
        assert parse(f"{scheme}://h{'/service' if 'sentinel' in scheme else ''}").hosts[0][0] == "h"
    with pytest.raises(ConfigError, match=", ".join(map(escape, REDIS_SCHEMES))):
        parse("http://h")


def test_no_address_shows_a_password() -> None:
    assert SECRET not in repr(parse(f"redis+sentinel://u:{SECRET}@h/main?sentinel_password={SECRET}"))
