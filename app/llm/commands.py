"""The offline model's commands: lines such as `/read notes.txt`, and the tool calls they stand for."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

HELP = """What I can do, one command per line; several lines make several calls at once:
/ls [path]          list files
/read path          show a file
/write path text    write a file
/grep pattern       search the files
/todo a; b; c       write a todo list
/run command        run a shell command, where there is a shell
/help               show this

To talk to a real model, set OPENAI_API_KEY and BATON_MODEL=openai:<model>, then start again."""

SUMMARY = "I know the commands /ls, /read, /write, /grep, /todo and /run; /help explains them."

_NO_SHELL = "This server has no shell, so I cannot /run anything."
_NO_ASK = "/ask is not there yet: it comes with approvals."


class ToolUse(Struct, frozen=True):
    """A call to make; `arguments` is JSON text."""

    name: str
    arguments: str


class Reply(Struct, frozen=True):
    """What the offline model says, and the calls it makes after that."""

    text: str
    calls: tuple[ToolUse, ...] = ()


class _Misuse(Exception):
    """A command cannot be carried out; the message is the answer."""


def understand(text: str, tools: frozenset[str]) -> Reply | None:
    """Gives the reply to the commands in the text, or None if there are none."""
    lines = [line.strip() for line in text.split("\n")]
    commands = [line for line in lines if line.startswith("/")]
    if not commands:
        return None
    answers = [_answer(line, tools) for line in commands]
    says = [answer for answer in answers if isinstance(answer, str)]
    if any(line and not line.startswith("/") for line in lines):
        says.append("I left out the lines that are not commands.")
    return Reply("\n\n".join(says), tuple(answer for answer in answers if isinstance(answer, ToolUse)))


def _answer(line: str, tools: frozenset[str]) -> ToolUse | str:
    command, _, rest = line.partition(" ")
    try:
        return _carry_out(command, rest.strip(), tools)
    except _Misuse as misuse:
        return str(misuse)


def _carry_out(command: str, rest: str, tools: frozenset[str]) -> ToolUse | str:
    match command:
        case "/help":
            return HELP
        case "/ask":
            return _NO_ASK
        case "/run" if "execute" not in tools:
            return _NO_SHELL
        case _ if command in _CALLS:
            name, arguments = _CALLS[command]
            if name not in tools:
                return f"This agent may not use the tool {name}, so {command} does nothing here."
            return ToolUse(name, msgspec.json.encode(arguments(rest)).decode())
        case _:
            return f"I do not know {command}; try /help."


def _read(rest: str) -> dict[str, Any]:
    return {"path": _needed(rest, "/read path")}


def _write(rest: str) -> dict[str, Any]:
    path, _, content = _needed(rest, "/write path text").partition(" ")
    return {"path": path, "content": content}


def _list(rest: str) -> dict[str, Any]:
    return {"path": rest} if rest else {}


def _grep(rest: str) -> dict[str, Any]:
    return {"pattern": _needed(rest, "/grep pattern")}


def _plan(rest: str) -> dict[str, Any]:
    items = [item.strip() for item in _needed(rest, "/todo a; b; c").split(";")]
    return {"todos": [{"text": item, "status": "pending"} for item in items if item]}


def _run(rest: str) -> dict[str, Any]:
    return {"command": _needed(rest, "/run command")}


def _needed(rest: str, usage: str) -> str:
    if not rest:
        raise _Misuse(f"That command needs more: {usage}")
    return rest


_CALLS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "/read": ("read_file", _read),
    "/write": ("write_file", _write),
    "/ls": ("list_files", _list),
    "/grep": ("grep_files", _grep),
    "/todo": ("todo_write", _plan),
    "/run": ("execute", _run),
}
