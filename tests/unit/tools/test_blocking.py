"""No tool blocks the event loop; and the detector would have seen it."""

import asyncio
from collections.abc import Iterator

import pytest
from blockbuster import BlockBusterFunction, BlockingError, blockbuster_ctx

from tests.unit.tools.desk import Desk
from tests.unit.tools.weak import PrefixGuarded

CALLS: list[tuple[str, dict[str, object]]] = [
    ("write_file", {"path": "new/b.txt", "content": "x"}),
    ("read_file", {"path": "a.txt"}),
    ("edit_file", {"path": "a.txt", "old_string": "one", "new_string": "two"}),
    ("list_files", {}),
    ("glob_files", {"pattern": "**/*.txt"}),
    ("grep_files", {"pattern": "o"}),
    ("todo_write", {"todos": [{"text": "x"}]}),
]


@pytest.fixture
def watched() -> Iterator[None]:
    """A blocking call in the event loop raises, those that BlockBuster does not know by itself included."""
    names = ("open", "fsync", "fstat", "unlink", "scandir")
    more = [BlockBusterFunction(None, f"os.{name}") for name in names]
    with blockbuster_ctx():
        for function in more:
            function.can_block_in("subprocess.py", "_get_devnull").can_block_in("asyncio/unix_events.py", "__init__")
            function.activate()
        yield
        for function in more:
            function.deactivate()


@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=[name for name, _ in CALLS])
@pytest.mark.usefixtures("watched")
async def test_no_tool_blocks_the_loop(desk: Desk, tool: str, arguments: dict[str, object]) -> None:
    await asyncio.to_thread(desk.put, "a.txt", "one\n")
    await desk.run(tool, **arguments)


def test_every_tool_is_watched(desk: Desk) -> None:
    assert sorted(name for name, _ in CALLS) == sorted(desk.tools.names)


@pytest.mark.usefixtures("watched")
async def test_a_blocking_workspace_is_caught(desk: Desk) -> None:
    await asyncio.to_thread(desk.put, "a.txt", "one\n")
    desk.workspace = PrefixGuarded(desk.base)
    for name, arguments in (("read_file", {"path": "a.txt"}), ("write_file", {"path": "a.txt", "content": "x"})):
        with pytest.raises(BlockingError):
            await desk.run(name, **arguments)
