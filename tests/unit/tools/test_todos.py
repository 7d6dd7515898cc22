"""todo_write: a patch of the state, and nothing else."""

import pytest

from app.core.encoding import encode_record
from app.core.records import StatePatched, Todo
from tests.unit.tools.desk import NOW, Desk


async def test_the_list_becomes_a_patch(desk: Desk) -> None:
    output = await desk.output("todo_write", todos=[{"text": "plan", "status": "done"}, {"text": "build"}])
    todos = (Todo(text="plan", status="done"), Todo(text="build", status="pending"))
    assert output.patch == StatePatched(at=NOW, todos=todos)
    assert output.text == "the list has 2 items, 1 of them done"
    assert not desk.root.exists()


async def test_an_empty_list_clears_it(desk: Desk) -> None:
    output = await desk.output("todo_write", todos=[])
    assert output.patch == StatePatched(at=NOW, todos=())


@pytest.mark.parametrize(
    "todos",
    [
        None,
        "plan",
        [{"text": ""}],
        [{"text": "x" * 501}],
        [{"text": "x", "status": "started"}],
        [{"text": "x", "owner": "me"}],
        [{"status": "done"}],
        [{"text": "x"}] * 101,
    ],
)
async def test_what_is_no_list_is_told(desk: Desk, todos: object) -> None:
    assert "schema" in await desk.fails("todo_write", todos=todos)


async def test_a_list_always_fits_into_a_record(desk: Desk) -> None:
    assert "longer than" in await desk.fails("todo_write", todos=[{"text": "😀" * 500}] * 100)
    output = await desk.output("todo_write", todos=[{"text": "😀" * 70}] * 100)
    assert output.patch is not None
    encode_record(output.patch)
