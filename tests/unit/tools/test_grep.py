"""grep_files: what it finds, what it leaves out, and that no pattern stops the server."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import uvloop

from app.core.errors import ToolError
from app.tools import grep
from app.tools.grep import GrepFiles
from app.tools.searcher import Order, Searcher
from tests.unit.tools.desk import Desk

ENDLESS = {"pattern": r"^(a+)+$"}
ENDLESS_TEXT = "a" * 64 + "b"


async def test_lines_are_found_with_their_places(desk: Desk) -> None:
    desk.put("b.txt", "one\ntwo é\r\nthree")
    desk.put("a/c.txt", "two")
    assert await desk.run("grep_files", pattern=r"^tw[o]\b") == "a/c.txt:1: two\nb.txt:2: two é"
    assert await desk.run("grep_files", pattern="three$") == "b.txt:3: three"
    assert await desk.run("grep_files", pattern="é$") == "b.txt:2: two é"


async def test_case_can_be_ignored(desk: Desk) -> None:
    desk.put("a.txt", "ONE")
    assert await desk.run("grep_files", pattern="one") == "[no line matches]"
    assert await desk.run("grep_files", pattern="one", ignore_case=True) == "a.txt:1: ONE"


async def test_the_search_can_be_narrowed(desk: Desk) -> None:
    for path in ("a.py", "a.txt", "src/b.py", "src/deep/c.py"):
        desk.put(path, "x\n")
    assert await desk.run("grep_files", pattern="x", glob="*.py") == "a.py:1: x\nsrc/b.py:1: x\nsrc/deep/c.py:1: x"
    assert await desk.run("grep_files", pattern="x", glob="*/*.py") == "src/b.py:1: x"
    assert await desk.run("grep_files", pattern="x", path="src", glob="*/*.py") == "src/deep/c.py:1: x"
    assert await desk.run("grep_files", pattern="x", path="src/b.py") == "src/b.py:1: x"
    assert "no such file" in await desk.fails("grep_files", pattern="x", path="nope")


async def test_binary_files_are_skipped_and_counted(desk: Desk) -> None:
    desk.put("a.bin", b"x\0")
    desk.put("b.txt", b"x\xff")
    desk.put("c.txt", "x")
    text = await desk.run("grep_files", pattern="x")
    assert text == "c.txt:1: x\n[2 files are not UTF-8 text and were skipped]"


async def test_the_answer_is_bounded_and_says_so(desk: Desk) -> None:
    for name in ("a.txt", "b.txt"):
        desk.put(name, "x\n" * 500_000)
    lines = (await desk.run("grep_files", pattern="x", limit=3)).split("\n")
    assert lines[:3] == ["a.txt:1: x", "a.txt:2: x", "a.txt:3: x"]
    assert lines[3].startswith("[the first 3 lines;")
    assert len(lines) == 4


async def test_a_limit_that_is_just_met_leaves_nothing_out(desk: Desk) -> None:
    desk.put("a.txt", "x\nx\n")
    assert await desk.run("grep_files", pattern="x", limit=2) == "a.txt:1: x\na.txt:2: x"


async def test_an_answer_larger_than_a_pipe_comes_whole(desk: Desk) -> None:
    desk.put("a.txt", ("x" * 450 + "\n") * 2000)
    desk.put("b.txt", "y" * 1_000_000)
    assert len((await desk.run("grep_files", pattern="x", limit=1000)).split("\n")) == 1001


async def test_of_a_long_line_the_part_around_the_match_is_shown(desk: Desk) -> None:
    desk.put("a.txt", "-" * 5000 + "needle" + "-" * 5000)
    text = await desk.run("grep_files", pattern="needle")
    assert text == "a.txt:1: …" + "-" * 200 + "needle" + "-" * 294 + "…"


@pytest.mark.parametrize("pattern", ["(", "[", "*", "(?P<x>", "\\", "a{9999999999999}", "(?<=a+)b"])
async def test_an_illegal_pattern_is_told(desk: Desk, pattern: str) -> None:
    desk.put("a.txt", "x")
    assert "not a legal regular expression" in await desk.fails("grep_files", pattern=pattern)


async def test_a_file_that_cannot_be_read_is_counted(desk: Desk) -> None:
    desk.put("a.txt", "x")
    with desk.put("big.txt", "x").open("ab") as file:
        file.truncate(17 * 1024 * 1024)
    text = await desk.run("grep_files", pattern="x")
    assert text == "a.txt:1: x\n[only 1 of 2 files could be searched]"


async def test_files_that_were_not_looked_at_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.txt", "b.py", "c.txt"):
        desk.put(name, "x")
    monkeypatch.setattr(grep, "MAX_WALK", 2)
    text = await desk.run("grep_files", pattern="x", glob="*.txt")
    assert text == "a.txt:1: x\n[only the first 2 files were looked at; give a narrower path]"


async def test_a_search_that_cannot_start_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert "could not be started" in await desk.fails("grep_files", pattern="x")


@pytest.mark.timeout(20)
async def test_a_pattern_that_runs_away_is_stopped_and_the_loop_goes_on(desk: Desk) -> None:
    desk.put("a.txt", ENDLESS_TEXT)
    tool = GrepFiles(Searcher(deadline=1.0))
    ticks = 0

    async def count() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    counter = asyncio.create_task(count())
    with pytest.raises(ToolError, match="took longer than 1 s and was stopped"):
        await tool.run(json.dumps(ENDLESS), desk.context())
    counter.cancel()
    assert ticks > 20
    assert _searches() == []


@pytest.mark.timeout(20)
async def test_a_cancelled_search_leaves_no_process(desk: Desk) -> None:
    started = asyncio.Event()

    async def files() -> AsyncGenerator[tuple[str, bytes], None]:
        yield "a.txt", ENDLESS_TEXT.encode()
        started.set()
        await asyncio.Event().wait()

    order = Order(pattern=ENDLESS["pattern"], ignore_case=False, limit=1)
    search = asyncio.create_task(Searcher().search(order, files()))
    await asyncio.wait_for(started.wait(), 10)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    assert _searches() == []


def test_a_search_also_works_on_the_servers_event_loop(desk: Desk) -> None:
    desk.put("a.txt", "x\n" * 500_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(desk.run("grep_files", pattern="y")) == "[no line matches]"
        assert len(runner.run(desk.run("grep_files", pattern="x")).split("\n")) == 201
    desk.put("a.txt", ENDLESS_TEXT)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(ToolError, match="took longer"):
        runner.run(GrepFiles(Searcher(deadline=0.3)).run(json.dumps(ENDLESS), desk.context()))
    assert _searches() == []


async def test_the_process_knows_no_secret(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    seen: list[bytes] = []

    async def files() -> AsyncGenerator[tuple[str, bytes], None]:
        seen.extend(Path(f"/proc/{pid}/environ").read_bytes() for pid in _searches())
        yield "a.txt", b"x"

    await Searcher().search(Order(pattern="x", ignore_case=False, limit=1), files())
    assert len(seen) == 1
    assert b"sk-secret" not in seen[0]


def _searches() -> list[str]:
    """Gives the live children of this process that search; others are services that tests share."""
    lists = [(thread / "children").read_text() for thread in Path("/proc/self/task").iterdir()]
    return [pid for pids in lists for pid in pids.split() if "search_worker" in _command_of(pid)]


def _command_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has just ended
        return ""
