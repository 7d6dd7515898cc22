"""The attack corpus: paths that try to leave the workspace, and how to tell that one of them did."""

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from app.core.errors import ToolError
from tests.unit.tools.desk import Desk

SECRET = "the canary's secret"  # noqa: RUF100
UNTOLD = "known-only-by-listing.txt"
"""A file beside each canary, whose name no attack spells."""

ARGUMENTS: Mapping[str, Mapping[str, object]] = {
    "read_file": {},
    "write_file": {"content": "overwritten"},
    "edit_file": {"old_string": SECRET, "new_string": "overwritten"},
    "list_files": {},
    "glob_files": {"pattern": "**"},
    "grep_files": {"pattern": "."},
}
"""What each tool that takes a path is called with, beside the path."""


class Scene:
    """A workspace with traps in it, and canaries around it. All targets lie below the test's own directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.desk = Desk(home / "workspaces")
        self.base = self.desk.base
        self.outside = home / "outside"
        self.evil = self.base.with_name("s-evil")
        for directory in (self.base / "nested", self.outside, self.evil):
            directory.mkdir(parents=True)
        for directory in (self.outside, self.evil):
            (directory / "canary.txt").write_text(f"{SECRET}\n")
            (directory / UNTOLD).write_text(f"{SECRET}\n")
        self._plant_links()
        self.open_canary = os.open(self.outside / "canary.txt", os.O_RDONLY)

    def _plant_links(self) -> None:
        links: dict[str, Path | str] = {
            "link.txt": self.outside / "canary.txt",
            "chain.txt": "link.txt",
            "linkdir": self.outside,
            "nested/linkdir": "../../../../../../outside",
            "dangling.txt": self.outside / "new.txt",
            "loop": "loop",
            "up": "..",
            "fds": "/proc/self/fd",
            "filesystem": "/proc/self/root",
        }
        for name, target in links.items():
            (self.base / name).symlink_to(target)

    def close(self) -> None:
        os.close(self.open_canary)

    def paths(self) -> list[str]:
        """Gives the corpus."""
        canary = self.outside / "canary.txt"
        climbing = [
            f"{prefix}s-evil/canary.txt" for prefix in ("../", "./../", "a/../../", "/workspace/../", "x//..//../")
        ]
        absolute = [str(canary), f"/{canary}", f"/workspace/{os.path.relpath(canary, self.base)}", f"file://{canary}"]
        prefixed = ["/workspace-evil/canary.txt", "/workspaces/canary.txt", "/workspace-evil", "/Workspace/canary.txt"]
        links = [
            *("link.txt", "chain.txt", "dangling.txt", "loop", "linkdir", "up", "fds", "filesystem", "nested/linkdir"),
            *(
                "linkdir/canary.txt",
                "linkdir/new.txt",
                "nested/linkdir/canary.txt",
                "up/s-evil/canary.txt",
                "up/s-evil",
            ),
            *(f"filesystem{canary}", f"fds/{self.open_canary}", f"/proc/self/fd/{self.open_canary}"),
        ]
        return [*climbing, *absolute, *prefixed, *links, *_ODD, os.path.relpath(canary, self.base)]

    def surroundings(self) -> dict[str, str]:
        """Gives everything around the workspace, so that a change is seen."""
        found: dict[str, str] = {}
        for directory, directories, files in os.walk(self.home):
            directories[:] = [name for name in directories if Path(directory, name) != self.base]
            for name in files:
                found[str(Path(directory, name))] = Path(directory, name).read_text()
        return found


_ODD = [
    *("", ".", "..", "/", "//", "/workspace", "/workspace/", "../", "../..", "/..", "/workspace/..", "../s-evil"),
    *("../s-evil/canary.txt\0", "\0", "link.txt\0.txt", "linkdir\n/canary.txt", "\x1b[2J", "\x7f", "\x85"),
    *("..\\s-evil\\canary.txt", "\\..\\s-evil", "C:\\canary.txt", "%2e%2e/s-evil/canary.txt", "..%2fs-evil/canary.txt"),
    *(
        "\uff0e\uff0e/s-evil/canary.txt",
        "\u2025/s-evil/canary.txt",
        "\u2024\u2024/s-evil/canary.txt",
        "..\u2215s-evil\u2215canary.txt",
    ),
    *("..\uff0fs-evil\uff0fcanary.txt", "..\u200b/s-evil/canary.txt", ".\u0338./s-evil", "\u202e../s-evil/canary.txt"),
    *("\u202etxt.yranac/live-s/..", "\ufeff../s-evil/canary.txt", ".. /s-evil/canary.txt", " ../s-evil", "../s-evil "),
    *(
        "\ud800",
        "..\udc2e/s-evil",
        "~/canary.txt",
        "$HOME/canary.txt",
        "..;/s-evil/canary.txt",
        "...",
        "a/.../canary.txt",
    ),
    *(unicodedata.normalize("NFC", "é/ﬁ.txt"), unicodedata.normalize("NFD", "é/ﬁ.txt")),
    *("x" * 256, "é" * 128, "x" * 5000, "a/" * 65 + "x", "a/" * 2000 + "x", "../" * 1000 + "s-evil/canary.txt"),
]


async def breaches(scene: Scene, tool: str) -> list[str]:
    """Gives the paths by which the tool revealed or changed something outside the workspace."""
    found: list[str] = []
    for path in scene.paths():
        for arguments in _calls(tool, path):
            before = scene.surroundings()
            try:
                said = await scene.desk.run(tool, **arguments)
            except ToolError as error:
                said = str(error)
            if SECRET in said or UNTOLD in said or scene.surroundings() != before:
                found.append(path)
    return found


def _calls(tool: str, path: str) -> list[dict[str, object]]:
    """Gives the path as the path, and as the pattern where there is one that is matched against paths."""
    calls = [{**ARGUMENTS[tool], "path": path}]
    if tool == "glob_files":
        calls.append({"pattern": path})
    if tool == "grep_files":
        calls.append({"pattern": ".", "glob": path})
    return calls
