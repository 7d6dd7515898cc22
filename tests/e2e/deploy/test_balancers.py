"""The samples in `deploy/` are what their balancers take, and let streams through as they come."""

import subprocess
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.support.http import Client
from tests.support.server import ROOT, running
from tests.support.services.binaries import Program, binary, eventually, free_port
from tests.support.services.haproxy import is_listening
from tests.support.sse import Event

SAMPLES = ROOT / "deploy"
REPLICAS = ("127.0.0.1:8001", "127.0.0.1:8002")
"""The replicas' places in the samples."""
LONG = "\n".join(["/help"] * 8)
"""What the offline model answers for several seconds."""
REQUESTS = 4

Command = Callable[[Path], list[str]]
"""Gives what runs the balancer with the configuration at that place."""


def nginx(file: Path) -> list[str]:
    """Gives the command that runs nginx in the foreground, with its files beside the configuration."""
    directives = f"daemon off; master_process off; pid {file.parent}/nginx.pid;"
    return [binary("nginx"), "-e", str(file.parent / "errors"), "-g", directives, "-c", str(file)]


def haproxy(file: Path) -> list[str]:
    """Gives the command that runs HAProxy in the foreground."""
    return [binary("haproxy"), "-db", "-f", str(file)]


SAMPLE: dict[str, tuple[Command, str]] = {"nginx.conf": (nginx, "-t"), "haproxy.cfg": (haproxy, "-c")}
"""How each sample is run, and what is added to have it checked only."""


def sample(name: str, home: Path, port: int, replicas: Sequence[str] = REPLICAS) -> str:
    """Gives the sample with places of the test's own, and nothing else changed."""
    text = (SAMPLES / name).read_text("utf-8")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    own = "".join(f"{kind}_temp_path {home}/{kind};" for kind in kinds)
    changes = {
        "http {": f"http {{ access_log off; {own}",
        "listen 80;": f"listen 127.0.0.1:{port};",
        "bind :80": f"bind 127.0.0.1:{port}",
        **dict(zip(REPLICAS, replicas, strict=True)),
    }
    for there, here in changes.items():
        text = text.replace(there, here)
    return text


def complaint(name: str, home: Path, text: str) -> str:
    """Gives what the balancer has against a configuration; nothing if it takes it."""
    file = home / name
    file.write_text(text)
    command, check = SAMPLE[name]
    checked = subprocess.run([*command(file), check], capture_output=True, text=True, timeout=20, check=False)
    said = checked.stderr + checked.stdout
    return said if checked.returncode or "warn" in said.lower() else ""


@contextmanager
def balancing(
    name: str, home: Path, change: Callable[[str], str], replicas: Sequence[str]
) -> Generator[str, None, None]:
    """Gives the base URL of the balancer, run with the changed sample before those replicas."""
    port, file = free_port(), home / name
    file.write_text(change(sample(name, home, port, replicas)))
    program = Program(SAMPLE[name][0](file), home / "log")
    try:
        eventually(lambda: is_listening(port), f"{name} does not listen")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.kill()


async def is_live(base: str) -> bool:
    """Says whether a run's text is seen while the run goes on."""
    async with Client.of(base) as client, client.stream("POST", "/v1/chat", json={"input": LONG}) as (head, events):
        await _until_a_delta(events)
        run = await client.get(f"/v1/runs/{head.headers['X-Run-Id']}")
        return run.json["status"] == "active"


async def _until_a_delta(events: AsyncIterator[Event]) -> None:
    async for event in events:
        if event.name == "delta":
            return
    pytest.fail("no text came")


async def status(url: str) -> int:
    """Gives the status of the answer."""
    async with ClientSession() as client, client.get(url) as response:
        return response.status


def as_it_is(text: str) -> str:
    """Gives the text."""
    return text


def compressed(text: str) -> str:
    """Gives nginx's sample with what keeps frames back: it buffers, and compresses what it has."""
    return text.replace(
        "proxy_buffering off;", "gzip on; gzip_types text/event-stream; proxy_ignore_headers X-Accel-Buffering;"
    )


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_is_valid(name: str, tmp_path: Path) -> None:
    assert complaint(name, tmp_path, sample(name, tmp_path, free_port())) == ""


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_that_is_not_is_found(name: str, tmp_path: Path) -> None:
    broken = sample(name, tmp_path, free_port()).replace("timeout", "tineout")
    assert "tineout" in complaint(name, tmp_path, broken)


@pytest.mark.parametrize("name", SAMPLE)
async def test_streams_come_through_as_they_are_written(name: str, tmp_path: Path) -> None:
    """One of the two replicas is gone: nobody notices. Figures are for nobody outside."""
    async with running(tmp_path / "replica", BATON_STORE_URL="memory://") as replica:
        replicas = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{replica.port}")
        with balancing(name, tmp_path, as_it_is, replicas) as base:
            for _ in range(REQUESTS):
                assert await is_live(base)
            assert await status(f"{base}/readyz") == 200
            assert await status(f"{base}/metrics") == 404


async def test_frames_that_are_kept_back_are_noticed(tmp_path: Path) -> None:
    async with running(tmp_path / "replica", BATON_STORE_URL="memory://") as replica:
        here = f"127.0.0.1:{replica.port}"
        with balancing("nginx.conf", tmp_path, compressed, (here, here)) as base:
            assert not await is_live(base)
