"""glob_files, and the globs themselves."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tools import globs
from app.tools.globs import Glob
from tests.unit.tools.desk import Desk

TREE = ("a.py", "b.txt", ".hidden", "src/a.py", "src/deep/a.py", "src/deep/[x].py", "docs/a.md")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", ["a.py"]),
        ("**/*.py", ["a.py", "src/a.py", "src/deep/[x].py", "src/deep/a.py"]),
        ("src/**", ["src/a.py", "src/deep/[x].py", "src/deep/a.py"]),
        ("src/**/**/a.py", ["src/a.py", "src/deep/a.py"]),
        ("**/deep/*", ["src/deep/[x].py", "src/deep/a.py"]),
        ("*/a.*", ["docs/a.md", "src/a.py"]),
        ("/workspace/src/*.py", ["src/a.py"]),
        ("./a.py", ["a.py"]),
        ("[ab].*", ["a.py", "b.txt"]),
        ("?.py", ["a.py"]),
        ("**/[[]x].py", ["src/deep/[x].py"]),
        ("*", [".hidden", "a.py", "b.txt"]),
        ("A.py", []),
        ("src", []),
    ],
)
async def test_globs_find(desk: Desk, pattern: str, found: list[str]) -> None:
    for path in TREE:
        desk.put(path, "")
    assert await desk.run("glob_files", pattern=pattern) == ("\n".join(found) or "[no file matches]")


async def test_patterns_are_relative_to_the_path(desk: Desk) -> None:
    for path in TREE:
        desk.put(path, "")
    assert await desk.run("glob_files", pattern="*.py", path="src") == "src/a.py"
    assert await desk.run("glob_files", pattern="**/a.py", path="/workspace/src/") == "src/a.py\nsrc/deep/a.py"
    assert "no such file or directory" in await desk.fails("glob_files", pattern="*", path="nope")


async def test_a_pattern_outside_is_refused(desk: Desk) -> None:
    assert "'..'" in await desk.fails("glob_files", pattern="../*")
    assert "outside the workspace" in await desk.fails("glob_files", pattern="/etc/*")


async def test_what_is_left_out_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("a", "b", "c", "d"):
        desk.put(path, "")
    monkeypatch.setattr(globs, "MAX_FOUND", 2)
    assert await desk.run("glob_files", pattern="*") == "a\nb\n[the first 2 of 4 files]"
    monkeypatch.setattr(globs, "MAX_WALK", 3)
    assert (await desk.run("glob_files", pattern="b")).startswith("b\n[only the first 3 files were looked at")


@pytest.mark.timeout(10)
def test_no_pattern_takes_for_ever() -> None:
    deep = ["a"] * 64
    assert not Glob("**/a/" * 31 + "b").matches(deep)
    assert Glob("**/a/" * 31 + "a").matches(deep)
    assert not Glob("*a" * 120 + "b").matches(["a" * 255])


NAMES = st.lists(
    st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."}), min_size=1, max_size=4
)
PATTERNS = st.lists(st.sampled_from(["**", "*", "a", "?", "b*", "[ab]", "*.a"]), min_size=1, max_size=4)


@given(NAMES, PATTERNS)
def test_globs_agree_with_the_plain_definition(names: list[str], pattern: list[str]) -> None:
    assert Glob("/".join(pattern)).matches(names) == _fits(names, pattern)


def _fits(names: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return _fits(names, pattern[1:]) or (bool(names) and _fits(names[1:], pattern))
    return bool(names) and PurePosixPath(names[0]).match(pattern[0]) and _fits(names[1:], pattern[1:])


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=20))
def test_every_name_is_a_legal_pattern(name: str) -> None:
    if name != "..":
        Glob(name).matches([name])
