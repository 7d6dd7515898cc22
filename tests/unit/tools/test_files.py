"""read_file, write_file and list_files."""

import asyncio

import pytest

from app.tools.files import MAX_ENTRIES, MAX_LINES
from app.tools.text import MAX_LINE_CHARS
from app.workspace.base import MAX_FILE_BYTES
from tests.unit.tools.desk import Desk


async def test_read_shows_numbered_lines(desk: Desk) -> None:
    desk.put("a.txt", "one\n\ttwo\n")
    assert await desk.run("read_file", path="a.txt") == "     1\tone\n     2\t\ttwo"
    assert await desk.run("read_file", path="/workspace/./a.txt") == "     1\tone\n     2\t\ttwo"


async def test_read_counts_lines_at_line_feeds_only(desk: Desk) -> None:
    desk.put("a.txt", "one\x0c\u2028still one\r\ntwo")
    text = await desk.run("read_file", path="a.txt")
    assert text == "     1\tone\x0c\u2028still one\n     2\ttwo\n[the lines end in CRLF]"


async def test_read_shows_a_part_and_says_so(desk: Desk) -> None:
    desk.put("a.txt", "".join(f"line {number}\n" for number in range(1, 11)))
    text = await desk.run("read_file", path="a.txt", offset=4, limit=2)
    assert text == "     4\tline 4\n     5\tline 5\n[lines 4 to 5 of 10]"
    assert (await desk.run("read_file", path="a.txt", offset=10)).endswith("    10\tline 10\n[lines 10 to 10 of 10]")


async def test_read_stops_at_its_limit(desk: Desk) -> None:
    desk.put("a.txt", "x\n" * (MAX_LINES + 1))
    assert (await desk.run("read_file", path="a.txt")).endswith(f"[lines 1 to {MAX_LINES} of {MAX_LINES + 1}]")


async def test_read_cuts_long_lines_and_says_so(desk: Desk) -> None:
    desk.put("a.txt", "é" * (MAX_LINE_CHARS + 7))
    text = await desk.run("read_file", path="a.txt")
    assert text == "     1\t" + "é" * MAX_LINE_CHARS + "… [7 more characters]"


async def test_read_of_an_empty_file_says_so(desk: Desk) -> None:
    desk.put("a.txt", "")
    assert await desk.run("read_file", path="a.txt") == "[the file is empty]"


async def test_read_beyond_the_end_says_how_long_the_file_is(desk: Desk) -> None:
    desk.put("a.txt", "one\ntwo\n")
    assert "has 2 lines; there is no line 3" in await desk.fails("read_file", path="a.txt", offset=3)


async def test_trap_binary_files_decoded_as_utf8(desk: Desk) -> None:
    """Binary files were decoded as UTF-8 and came back as garbage; an edit then destroyed them."""
    for content, reason in (
        (b"\x89PNG\r\n\x1a\n\0\0", "is a binary file of 10 bytes"),
        ("né".encode("latin-1"), "is not UTF-8 text: byte 1 of 2 is 0xe9"),
        ("text".encode("utf-16"), "is a binary file"),
    ):
        file = desk.put("file", content)
        assert reason in await desk.fails("read_file", path="file")
        assert reason in await desk.fails("edit_file", path="file", old_string="n", new_string="m")
        assert file.read_bytes() == content


async def test_read_of_what_is_not_a_file_says_what_it_is(desk: Desk) -> None:
    desk.put("dir/a.txt", "x")
    assert "no such file" in await desk.fails("read_file", path="nope.txt")
    assert "it is a directory" in await desk.fails("read_file", path="dir")
    assert "not a directory" in await desk.fails("read_file", path="dir/a.txt/b")
    assert "the workspace itself" in await desk.fails("read_file", path="/workspace")


@pytest.mark.parametrize(
    "arguments", [{"offset": 0}, {"limit": 0}, {"limit": MAX_LINES + 1}, {"offset": "1"}, {"lines": 5}, {"path": 5}]
)
async def test_wrong_arguments_are_told(desk: Desk, arguments: dict[str, object]) -> None:
    assert "do not fit the tool's schema" in await desk.fails("read_file", **{"path": "a.txt", **arguments})


async def test_write_creates_directories_and_replaces(desk: Desk) -> None:
    assert await desk.run("write_file", path="a/b/c.txt", content="é\n") == "wrote 3 bytes to 'a/b/c.txt'"
    assert (desk.base / "a/b/c.txt").read_bytes() == "é\n".encode()
    await desk.run("write_file", path="a/b/c.txt", content="")
    assert (desk.base / "a/b/c.txt").read_bytes() == b""


async def test_files_have_a_bound(desk: Desk) -> None:
    await desk.run("write_file", path="a.txt", content="x" * MAX_FILE_BYTES)
    assert "too many" in await desk.fails("write_file", path="a.txt", content="x" * MAX_FILE_BYTES + "y")
    assert "[lines 1 to 1 of" not in await desk.run("read_file", path="a.txt")
    desk.put("b.txt", b"x" * (MAX_FILE_BYTES + 1))
    assert "larger than" in await desk.fails("read_file", path="b.txt")
    assert "larger than" in await desk.fails("edit_file", path="b.txt", old_string="x", new_string="y")


async def test_list_shows_sizes_kinds_and_nothing_hidden_by_order(desk: Desk) -> None:
    desk.put("b.txt", "123")
    desk.put("a/x.txt", "")
    desk.put("a-b", "")
    (desk.base / "link").symlink_to("b.txt")
    assert (await desk.run("list_files")).split("\n") == [
        "a-b (0 bytes)",
        "a/",
        "b.txt (3 bytes)",
        "link (not a file that can be read)",
    ]
    assert await desk.run("list_files", path="a/") == "a/x.txt (0 bytes)"


async def test_list_of_an_empty_workspace_is_no_error(desk: Desk) -> None:
    assert await desk.run("list_files") == "[the directory is empty]"
    assert "no such file or directory" in await desk.fails("list_files", path="nope")


async def test_list_is_bounded_and_says_so(desk: Desk) -> None:
    for number in range(MAX_ENTRIES + 1):
        desk.put(f"{number:04}", "")
    lines = (await desk.run("list_files")).split("\n")
    assert len(lines) == MAX_ENTRIES + 1
    assert lines[-1] == f"[the first {MAX_ENTRIES} of {MAX_ENTRIES + 1} entries; glob_files finds others]"


async def test_calls_of_one_batch_do_not_lose_each_others_edits(desk: Desk) -> None:
    desk.put("a.txt", "".join(f"<{number}>\n" for number in range(20)))
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(desk.run("edit_file", path="a.txt", old_string=f"<{number}>", new_string=f"{number}!"))
    assert (desk.base / "a.txt").read_text() == "".join(f"{number}!\n" for number in range(20))
