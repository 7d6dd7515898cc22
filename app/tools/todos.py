"""The tool that keeps the agent's plan. It has no effect: the list changes when the call's result is committed."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from app.core.errors import ToolError
from app.core.records import Effect, StatePatched, Todo
from app.core.tools import ToolOutput
from app.tools.base import Arguments, ToolContext, describe, parse

MAX_TODOS = 100
MAX_TODOS_BYTES = 32 * 1024
"""Of the list, encoded; it must fit into one record."""


class TodoItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to do."""

    text: Annotated[str, Meta(description="What is to be done.", min_length=1, max_length=500)]
    status: Annotated[Literal["pending", "in_progress", "done"], Meta(description="How far it is.")] = "pending"


class TodoWriteArguments(Arguments, frozen=True, kw_only=True):
    """The whole list."""

    todos: Annotated[
        tuple[TodoItem, ...],
        Meta(description="The whole list, in order; it replaces the old one.", max_length=MAX_TODOS),
    ]


class TodoWrite:
    """Replaces the list of things to do."""

    spec = describe(
        "todo_write",
        "Replaces your list of things to do. Keep one while a task has several steps, and mark what is done.",
        TodoWriteArguments,
        Effect.PURE,
    )

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        """Gives the new list as a patch of the state."""
        wanted = parse(arguments, TodoWriteArguments)
        todos = tuple(Todo(text=item.text, status=item.status) for item in wanted.todos)
        if len(msgspec.json.encode(todos)) > MAX_TODOS_BYTES:
            raise ToolError(f"the list is longer than {MAX_TODOS_BYTES} bytes; use fewer or shorter items")
        done = sum(todo.status == "done" for todo in todos)
        return ToolOutput(
            text=f"the list has {len(todos)} items, {done} of them done",
            patch=StatePatched(at=context.clock.now(), todos=todos),
        )
