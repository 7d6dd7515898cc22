"""A link swapped in at any moment of a call leads nowhere. The moments are enumerated, not hoped for."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ToolError
from tests.unit.tools.attacks import ARGUMENTS, SECRET, UNTOLD, Scene
from tests.unit.tools.weak import ResolvingGuarded

STEPS = ("open", "stat", "mkdir", "rename", "scandir", "unlink", "listdir", "readlink")
"""The system calls before which the swap may happen."""
VICTIMS = ("a", "a/b", "a/b/canary.txt")
"""What is replaced by a link: the first directory, the last one, the file."""


class Swap:
    """Replaces the victim by a link to its double outside, just before the `moment`-th step of a call."""

    def __init__(self, scene: Scene, victim: str, moment: int) -> None:
        self._victim = scene.base / victim
        self._double = scene.outside / victim
        self._moment = moment
        self._steps = 0
        self.happened = False

    def arm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in STEPS:
            monkeypatch.setattr(os, name, self._before(getattr(os, name)))

    def _before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self._steps += 1
            if self._steps > self._moment and not self.happened:
                self.happened = True
                self._victim.rename(self._victim.with_name("moved"))
                self._victim.symlink_to(self._double)
            return step(*args, **kwargs)

        return stepped


def set_up(home: Path) -> Scene:
    scene = Scene(home)
    for base, text in ((scene.base, "inside"), (scene.outside, f"inside {SECRET}")):
        (base / "a" / "b").mkdir(parents=True)
        (base / "a" / "b" / "canary.txt").write_text(text)
    (scene.outside / "a" / "b" / UNTOLD).write_text(SECRET)
    return scene


async def is_breached(scene: Scene, swap: Swap, tool: str) -> bool:
    """Runs the tool on the victim's tree; says whether anything outside was revealed or changed."""
    arguments: dict[str, object] = {**ARGUMENTS[tool], "path": "a/b" if "files" in tool else "a/b/canary.txt"}
    if tool == "edit_file":
        arguments["old_string"] = "inside"
    before = scene.surroundings()
    with pytest.MonkeyPatch.context() as monkeypatch:
        swap.arm(monkeypatch)
        try:
            said = await scene.desk.run(tool, **arguments)
        except ToolError as error:
            said = str(error)
    scene.close()
    return SECRET in said or UNTOLD in said or scene.surroundings() != before


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("tool", list(ARGUMENTS))
async def test_no_swap_leads_out(tmp_path: Path, tool: str, victim: str) -> None:
    for moment in range(200):
        scene = set_up(tmp_path / str(moment))
        swap = Swap(scene, victim, moment)
        assert not await is_breached(scene, swap, tool), f"a swap before step {moment} led out"
        if not swap.happened:
            break
    else:
        pytest.fail("the call has more than 200 steps")
    assert moment > 5


@pytest.mark.parametrize("tool", ["read_file", "write_file", "edit_file", "list_files", "grep_files"])
async def test_the_race_turns_red_against_a_guard_that_checks_first(tmp_path: Path, tool: str) -> None:
    red = 0
    for moment in range(20):
        scene = set_up(tmp_path / str(moment))
        scene.desk.workspace = ResolvingGuarded(scene.base)
        red += await is_breached(scene, Swap(scene, "a/b", moment), tool)
    assert red > 0
