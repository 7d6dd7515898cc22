"""edit_file: exact, and once, whatever happened to an earlier attempt."""

import json

import pytest

from app.core.errors import ToolError
from app.tools.base import ToolContext
from tests.unit.tools.desk import Desk

EDIT = {"path": "a.txt", "old_string": "one", "new_string": "one one"}
"""Applied twice, it would show."""


class Crash(Exception):
    """The process died."""


class CrashingWorkspace:
    """A workspace in which the write never happens, or happens and is never answered."""

    def __init__(self, desk: Desk, *, after: bool) -> None:
        self._inner = desk.workspace
        self._after = after
        self.read, self.entries, self.walk = self._inner.read, self._inner.entries, self._inner.walk

    async def write(self, path: str, data: bytes) -> None:
        if self._after:
            await self._inner.write(path, data)
        raise Crash


async def edit(desk: Desk, context: ToolContext | None = None) -> str:
    return (await desk.tool("edit_file").run(json.dumps(EDIT), context or desk.context())).text


async def crash(desk: Desk, *, after: bool) -> None:
    whole = desk.workspace
    desk.workspace = CrashingWorkspace(desk, after=after)
    with pytest.raises(Crash):
        await edit(desk)
    desk.workspace = whole


async def test_an_edit_replaces_exactly_what_was_asked(desk: Desk) -> None:
    desk.put("a.txt", "  one\n\ttwo\n")
    assert await desk.run("edit_file", path="a.txt", old_string="one\n\ttwo", new_string="é") == "edited 'a.txt'"
    assert (desk.base / "a.txt").read_text() == "  é\n"


async def test_no_match_is_told(desk: Desk) -> None:
    desk.put("a.txt", "one\ntwo\n")
    assert "does not occur" in await desk.fails("edit_file", path="a.txt", old_string="One", new_string="x")
    desk.put("a.txt", "one\r\ntwo\r\n")
    assert "CRLF" in await desk.fails("edit_file", path="a.txt", old_string="one\ntwo", new_string="x")


async def test_several_matches_are_told_with_their_lines(desk: Desk) -> None:
    file = desk.put("a.txt", "x\n\nx x\ny\nx")
    message = await desk.fails("edit_file", path="a.txt", old_string="x", new_string="z")
    assert "occurs 4 times in 'a.txt', on lines 1, 3, 3, 5;" in message
    assert "replace_all" in message
    assert file.read_text() == "x\n\nx x\ny\nx"


async def test_the_lines_of_many_matches_are_bounded(desk: Desk) -> None:
    desk.put("a.txt", "x\n" * 1000)
    message = await desk.fails("edit_file", path="a.txt", old_string="x\n", new_string="z")
    assert "occurs 1000 times" in message
    assert "19, 20, …;" in message


async def test_replace_all_replaces_all(desk: Desk) -> None:
    desk.put("a.txt", "x y x")
    await desk.run("edit_file", path="a.txt", old_string="x", new_string="", replace_all=True)
    assert (desk.base / "a.txt").read_text() == " y "


async def test_an_edit_that_changes_nothing_is_refused(desk: Desk) -> None:
    desk.put("a.txt", "x")
    assert "nothing to change" in await desk.fails("edit_file", path="a.txt", old_string="x", new_string="x")
    assert "schema" in await desk.fails("edit_file", path="a.txt", old_string="", new_string="x")


async def test_an_edit_of_nothing_is_told(desk: Desk) -> None:
    assert "no such file" in await desk.fails("edit_file", **EDIT)
    assert desk.notes.notes == {}


async def test_the_note_is_made_before_the_file_is_written(desk: Desk) -> None:
    desk.put("a.txt", "one")
    await crash(desk, after=False)
    assert (desk.base / "a.txt").read_text() == "one"
    assert list(desk.notes.notes) == ["run:call"]


async def test_after_a_crash_before_the_write_the_edit_is_applied(desk: Desk) -> None:
    desk.put("a.txt", "one")
    await crash(desk, after=False)
    assert await edit(desk, desk.context(again=True)) == "edited 'a.txt'"
    assert (desk.base / "a.txt").read_text() == "one one"


async def test_after_a_crash_behind_the_write_the_edit_is_not_applied_twice(desk: Desk) -> None:
    desk.put("a.txt", "one")
    await crash(desk, after=True)
    assert await edit(desk, desk.context(again=True)) == "edited 'a.txt'"
    assert (desk.base / "a.txt").read_text() == "one one"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("change", ["one three", b"\xff\0"])
async def test_a_file_that_changed_in_between_is_left_alone(desk: Desk, after: bool, change: str | bytes) -> None:
    file = desk.put("a.txt", "one")
    await crash(desk, after=after)
    desk.put("a.txt", change)
    with pytest.raises(ToolError, match="outcome is unknown"):
        await edit(desk, desk.context(again=True))
    assert file.read_bytes() == (change.encode() if isinstance(change, str) else change)


async def test_a_file_that_is_gone_leaves_the_outcome_unknown(desk: Desk) -> None:
    file = desk.put("a.txt", "one")
    await crash(desk, after=True)
    file.unlink()
    with pytest.raises(ToolError, match=r"outcome is unknown.*no such file"):
        await edit(desk, desk.context(again=True))


async def test_without_a_note_the_earlier_attempt_wrote_nothing(desk: Desk) -> None:
    desk.put("a.txt", "one")
    assert await edit(desk, desk.context(again=True)) == "edited 'a.txt'"
    assert (desk.base / "a.txt").read_text() == "one one"


async def test_another_calls_note_is_not_ours(desk: Desk) -> None:
    desk.put("a.txt", "one")
    await edit(desk)
    desk.put("a.txt", "one two")
    await edit(desk, desk.context(key="run:other", again=True))
    assert (desk.base / "a.txt").read_text() == "one one two"
