"""Local workspaces: durable, atomic, separate, and gone when deleted."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.errors import ToolError, Unavailable
from app.core.ids import AgentId, SessionId, TenantId, UserId
from app.core.keys import SessionKey
from app.workspace.base import MAX_FILE_BYTES, FileEntry, Workspace, Workspaces
from app.workspace.local import LocalWorkspaces
from app.workspace.paths import directories

KEY = SessionKey(TenantId("t"), UserId("u"), AgentId("a"), SessionId("s"))


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return LocalWorkspaces(tmp_path / "data" / "workspaces")


@pytest.fixture
def workspace(workspaces: Workspaces) -> Workspace:
    return workspaces.open(KEY)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return (tmp_path / "data" / "workspaces").joinpath(*directories(KEY))


async def test_what_was_written_is_read(workspace: Workspace) -> None:
    for data in (b"", b"\0\xff", b"x" * MAX_FILE_BYTES):
        await workspace.write("a/b", data)
        assert await workspace.read("/workspace/a/b") == data
    with pytest.raises(ToolError, match="too many"):
        await workspace.write("a/b", b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ToolError, match="too many"):
        await workspace.write("new/b", b"x" * (MAX_FILE_BYTES + 1))
    assert [entry.path for entry in await workspace.entries("")] == ["a"]


async def test_nothing_exists_before_the_first_file(workspace: Workspace, tmp_path: Path) -> None:
    assert await workspace.entries("") == ()
    assert await workspace.walk("", 10) == ()
    with pytest.raises(ToolError, match="no such file"):
        await workspace.read("a")
    assert list(tmp_path.iterdir()) == []


async def test_only_the_owner_of_the_server_may_enter(workspace: Workspace, base: Path) -> None:
    await workspace.write("a/b", b"")
    for directory in (base / "a", *list((base / "a").parents)[:6]):
        assert directory.stat().st_mode & 0o077 == 0 or directory.name == "data"


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o444, 0o640])
async def test_the_mode_stays_when_a_file_is_replaced(workspace: Workspace, base: Path, mode: int) -> None:
    await workspace.write("script", b"old")
    (base / "script").chmod(mode)
    await workspace.write("script", b"new")
    assert (base / "script").stat().st_mode & 0o7777 == mode
    assert (base / "script").read_bytes() == b"new"


async def test_a_failed_write_leaves_the_old_file_and_no_scrap(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workspace.write("a", b"old")
    for step in ("fsync", "rename"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, _full_disk)
            with pytest.raises(ToolError, match="the disk is full"):
                await workspace.write("a", b"new")
        assert [found.name for found in base.iterdir()] == ["a"]
        assert await workspace.read("a") == b"old"


def _full_disk(*_args: object, **_kwargs: object) -> None:
    raise OSError(28, "No space left on device")


async def test_a_write_is_durable_before_it_is_visible(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    for name in ("fsync", "rename", "mkdir"):
        monkeypatch.setattr(os, name, _noted(name, steps))
    await workspace.write("a/b", b"x")
    assert steps[-5:] == ["mkdir", "fsync", "fsync", "rename", "fsync"]


def _noted(name: str, steps: list[str]):  # noqa: ANN202, RUF100
    step = getattr(os, name)

    def noted(*args: object, **kwargs: object) -> object:
        steps.append(name)
        return step(*args, **kwargs)

    return noted


async def test_scraps_of_a_killed_server_are_not_seen(workspace: Workspace, base: Path) -> None:
    await workspace.write("a", b"")
    (base / ".baton-tmp-00").write_text("half")
    assert await workspace.entries("") == (FileEntry("a", "file", 0),)
    assert await workspace.walk("", 10) == (FileEntry("a", "file", 0),)


async def test_directories_and_special_files_are_not_replaced(workspace: Workspace, base: Path) -> None:
    await workspace.write("dir/a", b"")
    os.mkfifo(base / "fifo")
    for path, reason in (("dir", "is a directory"), ("fifo", "not a regular file"), ("dir/a/b", "not a directory")):
        with pytest.raises(ToolError, match=reason):
            await workspace.write(path, b"x")
    for path in ("", "/workspace", "./"):
        with pytest.raises(ToolError, match="the workspace itself"):
            await workspace.write(path, b"x")


async def test_entries_show_kinds_and_escape_what_no_path_can_say(workspace: Workspace, base: Path) -> None:
    await workspace.write("a/x", b"123")
    await workspace.write("b", b"12")
    (base / "c").symlink_to("b")
    Path(os.fsdecode(bytes(base) + b"/d\xff")).write_bytes(b"")
    (base / "e\nf").mkdir()
    assert await workspace.entries("") == (
        FileEntry("a", "directory", 0),
        FileEntry("b", "file", 2),
        FileEntry("c", "other", 1),
        FileEntry(r"d\udcff", "other", 0),
        FileEntry(r"e\nf", "other", (base / "e\nf").stat().st_size),
    )
    assert await workspace.entries("a") == (FileEntry("a/x", "file", 3),)


async def test_walk_gives_files_by_path_and_stops_at_its_limit(workspace: Workspace, base: Path) -> None:
    paths = ["a-b", "a/c", "a/d/e", "a0", "z"]
    for path in reversed(paths):
        await workspace.write(path, b"")
    (base / "a" / "loop").symlink_to(base)
    assert [entry.path for entry in await workspace.walk("", 10)] == paths == sorted(paths)
    assert [entry.path for entry in await workspace.walk("", 2)] == paths[:2]
    assert [entry.path for entry in await workspace.walk("/workspace/a", 10)] == ["a/c", "a/d/e"]
    with pytest.raises(ToolError, match="not a directory"):
        await workspace.walk("z", 10)


async def test_walk_gives_nothing_too_deep_to_read(workspace: Workspace, base: Path) -> None:
    deepest = "d/" * 63 + "f"
    await workspace.write(deepest, b"x")
    beyond = base / ("d/" * 64)
    beyond.mkdir()
    (beyond / "f").write_text("x")
    found = await workspace.walk("", 10)
    assert [entry.path for entry in found] == [deepest]
    assert await workspace.read(found[0].path) == b"x"


async def test_no_descriptor_is_left_open(workspace: Workspace, base: Path) -> None:
    await workspace.write("a/b", b"x")
    (base / "link").symlink_to("a")
    before = _descriptors()
    for _ in range(10):
        await workspace.read("a/b")
        await workspace.walk("", 1)
        for path in ("nope", "a", "a/b/c", "link/b", "a/nope/x"):
            with pytest.raises(ToolError):
                await workspace.read(path)
    assert _descriptors() <= before


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_trap_a_sandbox_key_without_user_or_tenant(workspaces: Workspaces) -> None:
    """Equal session ids of other tenants, users or agents, and ids that look like paths, never share files."""
    keys = [
        KEY,
        replace(KEY, tenant=TenantId("other")),
        replace(KEY, agent=AgentId("other")),
        replace(KEY, session=SessionId("..")),
        replace(KEY, session=SessionId("")),
        replace(KEY, tenant=TenantId("t/u"), user=UserId("a")),
        replace(KEY, session=SessionId("s" * 300)),
        replace(KEY, session=SessionId("s" * 301)),
        replace(KEY, user=UserId("é")),
        replace(KEY, user=UserId("e\u0301")),
    ]
    for number, key in enumerate(keys):
        await workspaces.open(key).write("a", str(number).encode())
    for number, key in enumerate(keys):
        assert await workspaces.open(key).read("a") == str(number).encode()


async def test_delete_leaves_nothing_but_the_neighbours(workspaces: Workspaces, base: Path, tmp_path: Path) -> None:
    other = replace(KEY, session=SessionId("s2"))
    (tmp_path / "outside").write_text("canary")
    await workspaces.open(KEY).write("a/b", b"x")
    await workspaces.open(other).write("a", b"x")
    (base / "link").symlink_to(tmp_path)
    for _ in range(2):
        await workspaces.delete(KEY)
        assert not base.exists()
    assert await workspaces.open(KEY).entries("") == ()
    assert await workspaces.open(other).read("a") == b"x"
    assert (tmp_path / "outside").read_text() == "canary"
    await workspaces.delete(replace(KEY, tenant=TenantId("nobody")))


async def test_delete_says_when_it_could_not(workspaces: Workspaces, base: Path, tmp_path: Path) -> None:
    base.parent.mkdir(parents=True)
    base.symlink_to(tmp_path)
    with pytest.raises(Unavailable, match="cannot be removed"):
        await workspaces.delete(KEY)
    with pytest.raises(ToolError, match="symbolic links"):
        await workspaces.open(KEY).write("a", b"x")


async def test_a_cancelled_write_is_over_when_the_cancellation_is(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = asyncio.Event(), threading.Event()
    loop, rename = asyncio.get_running_loop(), os.rename

    def wait(*args: object, **kwargs: int) -> None:
        loop.call_soon_threadsafe(reached.set)
        assert go_on.wait(10)
        rename(*args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(os, "rename", wait)
    write = asyncio.create_task(workspace.write("a", b"x"))
    await asyncio.wait_for(reached.wait(), 10)
    write.cancel()
    done, _ = await asyncio.wait([write], timeout=0.05)
    assert not done
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert (base / "a").read_bytes() == b"x"
