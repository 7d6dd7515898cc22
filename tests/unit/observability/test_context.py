"""A runner's lines name its claim, and nobody else's do."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from app.observability.context import bind_claim
from app.observability.logging import configure

log = logging.getLogger("app.x")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    stream = io.StringIO()
    configure("info", stream)
    yield stream
    logging.captureWarnings(False)
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def fields(stream: io.StringIO) -> list[tuple[str, str | None, int | None, str | None]]:
    """Gives each line's message and what it says of its claim."""
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [(line["message"], line.get("session"), line.get("epoch"), line.get("run_id")) for line in found]


async def work(session: str, meet: asyncio.Barrier) -> None:
    bind_claim(session=session, incarnation="i", epoch=1, run_id=f"run of {session}")
    await meet.wait()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(say("below"))


async def say(text: str) -> None:
    log.info(text)


async def test_every_line_of_a_task_and_those_below_it_names_its_own_claim(stream: io.StringIO) -> None:
    meet = asyncio.Barrier(2)
    async with asyncio.TaskGroup() as tasks:
        for session in ("a", "b"):
            tasks.create_task(work(session, meet))
    log.info("outside")
    assert sorted(fields(stream), key=str) == [
        ("below", "a", 1, "run of a"),
        ("below", "b", 1, "run of b"),
        ("outside", None, None, None),
    ]


async def test_another_claim_replaces_the_first(stream: io.StringIO) -> None:
    async def twice() -> None:
        bind_claim(session="a", incarnation="i", epoch=1, run_id="r1")
        bind_claim(session="a", incarnation="i", epoch=2, run_id=None)
        structlog.get_logger("app.x").info("said")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(twice())
    assert fields(stream) == [("said", "a", 2, None)]
