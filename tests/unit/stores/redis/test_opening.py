"""Opening: what cannot work stops the start, and says which variable to change."""

import asyncio
import logging
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.core.errors import ConfigError
from app.stores.redis.connection import open_client
from tests.support.services.binaries import binary, free_port
from tests.support.services.redis import RedisServer, running

SECRET = "s3cret"


async def refusal(url: str) -> str:
    """Gives why the URL cannot be opened."""
    with pytest.raises(ConfigError) as caught:
        async with open_client(url):
            pass
    return str(caught.value)


@asynccontextmanager
async def pretending(info: bytes) -> AsyncGenerator[str, None]:
    """Gives the URL of a server that answers everything with those facts."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.read(4096):
            writer.write(b"$%d\r\n%s\r\n" % (len(info), info))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_a_url_that_means_none_names_the_variable() -> None:
    assert (await refusal("redis://h/x")).startswith("BATON_STORE_URL: its path must be")
    with pytest.raises(ConfigError, match="BATON_BUS_URL: "):
        async with open_client("nonsense", variable="BATON_BUS_URL"):
            pass


async def test_nobody_there_names_the_variable_and_the_reason() -> None:
    told = await refusal(f"redis://127.0.0.1:{free_port()}")
    assert told.startswith("BATON_STORE_URL: it leads to no Redis that can be used (")
    assert "Connect call failed" in told or "refused" in told


async def test_a_sentinel_is_not_a_server() -> None:
    async with pretending(b"redis_version:7.0.15\r\nredis_mode:sentinel\r\n") as url:
        assert "redis+sentinel://" in await refusal(url)


async def test_an_old_server_is_refused() -> None:
    async with pretending(b"redis_version:6.2.14\r\nredis_mode:standalone\r\n") as url:
        assert await refusal(url) == "BATON_STORE_URL: it leads to Redis 6.2.14; use one that is 7.0 or newer"
    async with pretending(b"redis_version:10.1.0\r\n") as url, open_client(url):
        pass


async def test_a_wrong_password_is_told_and_not_repeated() -> None:
    with running(requirepass=SECRET) as server:
        async with open_client(f"redis://:{SECRET}@{server.place}/3") as connection:
            assert await connection.command("ECHO", "x") == b"x"
        assert "refuses the user or the password" in await refusal(f"redis://{server.place}")
        told = await refusal(f"redis://u:wrong-{SECRET}@{server.place}")
        assert "refuses the user or the password" in told
        assert SECRET not in told


async def test_a_server_that_evicts_is_warned_of(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with open_client(server.url()):
        assert not caplog.records
    with running(**{"maxmemory-policy": "allkeys-lru"}) as evicting:
        async with open_client(evicting.url()):
            (record,) = caplog.records
    assert "maxmemory-policy" in record.getMessage()
    assert record.__dict__["policy"] == "allkeys-lru"


def _certified(folder: Path) -> tuple[Path, Path]:
    """Gives a key and a certificate for 127.0.0.1 that vouches for itself."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [binary("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return key, certificate


async def test_tls_is_spoken_with_who_is_vouched_for(tmp_path: Path) -> None:
    key, certificate = _certified(tmp_path)
    tls = {"tls-cert-file": str(certificate), "tls-key-file": str(key), "tls-auth-clients": "no"}
    port = free_port()
    with running(**tls, **{"tls-port": str(port)}):
        async with open_client(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}") as connection:
            assert await asyncio.gather(*(connection.command("ECHO", b"x") for _ in range(5))) == [b"x"] * 5
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(f"rediss://127.0.0.1:{port}")
        assert "No such file" in await refusal(f"rediss://127.0.0.1:{port}?ssl_ca_certs={tmp_path}/none.pem")
