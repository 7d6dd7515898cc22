"""No tool reveals or changes anything outside the workspace, whatever path it is given; and the corpus can fail."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.tools.toolbox import builtin_tools
from tests.unit.tools.attacks import ARGUMENTS, SECRET, UNTOLD, Scene, breaches
from tests.unit.tools.weak import PrefixGuarded

TAKING_A_PATH = [tool.spec.name for tool in builtin_tools() if "path" in tool.spec.parameters["properties"]]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def test_every_tool_that_takes_a_path_is_attacked() -> None:
    assert sorted(TAKING_A_PATH) == sorted(ARGUMENTS)


@pytest.mark.parametrize("tool", TAKING_A_PATH)
async def test_no_attack_leaves_the_workspace(scene: Scene, tool: str) -> None:
    assert await breaches(scene, tool) == []


@pytest.mark.parametrize("tool", TAKING_A_PATH)
async def test_the_corpus_turns_red_against_a_weak_guard(scene: Scene, tool: str) -> None:
    scene.desk.workspace = PrefixGuarded(scene.base)
    assert await breaches(scene, tool) != []


async def test_trap_path_guard_by_prefix_lets_a_sibling_through(scene: Scene) -> None:
    """A guard by `startswith(base)` took `/workspace-evil` for a part of `/workspace`."""
    assert "outside the workspace" in await scene.desk.fails("read_file", path="/workspace-evil/canary.txt")
    assert "'..' is not allowed" in await scene.desk.fails("read_file", path="../s-evil/canary.txt")
    scene.desk.workspace = PrefixGuarded(scene.base)
    assert SECRET in await scene.desk.run("read_file", path="/workspace-evil/canary.txt")
    assert SECRET in await scene.desk.run("read_file", path="../s-evil/canary.txt")


async def test_trap_symlink_leaves_the_workspace(scene: Scene) -> None:
    """Symbolic links in the workspace, to files and to directories, led the file tools out of it."""
    assert "symbolic link" in await scene.desk.fails("read_file", path="link.txt")
    assert "symbolic link" in await scene.desk.fails("read_file", path="linkdir/canary.txt")
    assert "symbolic link" in await scene.desk.fails("write_file", path="link.txt", content="x")
    assert "symbolic link" in await scene.desk.fails("write_file", path="linkdir/new/x.txt", content="x")
    assert "symbolic link" in await scene.desk.fails("write_file", path="dangling.txt", content="x")
    assert "symbolic link" in await scene.desk.fails("list_files", path="linkdir")
    assert "linkdir (not a file that can be read)" in await scene.desk.run("list_files")
    assert not (scene.outside / "new.txt").exists()


async def test_searching_everything_does_not_enter_links(scene: Scene) -> None:
    assert await scene.desk.run("glob_files", pattern="**") == "[no file matches]"
    assert await scene.desk.run("grep_files", pattern=".") == "[no line matches]"
    assert UNTOLD not in await scene.desk.run("list_files")


@pytest.mark.parametrize("tool", TAKING_A_PATH)
@pytest.mark.timeout(10)
async def test_a_fifo_neither_hangs_a_tool_nor_is_replaced(scene: Scene, tool: str) -> None:
    os.mkfifo(scene.base / "fifo")
    await scene.desk.fails(tool, **ARGUMENTS[tool], path="fifo")
    assert (scene.base / "fifo").is_fifo()


async def test_writing_to_a_hard_link_leaves_the_other_name_alone(scene: Scene) -> None:
    (scene.base / "hard.txt").hardlink_to(scene.outside / "canary.txt")
    await scene.desk.run("write_file", path="hard.txt", content="mine")
    assert (scene.outside / "canary.txt").read_text() == f"{SECRET}\n"
