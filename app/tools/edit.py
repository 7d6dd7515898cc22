"""The tool that edits: replaces a piece of text, exactly, and once however often the call is run again."""

import asyncio
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from app.core.errors import ToolError
from app.core.records import Effect
from app.core.tools import ToolOutput
from app.tools.base import Arguments, ToolContext, describe, parse
from app.tools.locks import WorkspaceLocks
from app.tools.text import FilePath, decode_text, encode_text
from app.workspace.paths import shown

MAX_SHOWN_MATCHES = 20


class EditFileArguments(Arguments, frozen=True, kw_only=True):
    """What to replace, by what, and where."""

    path: FilePath
    old_string: Annotated[
        str,
        Meta(
            description="The text to replace, exactly as it is in the file, indentation included, without the line "
            "numbers of read_file. It must occur once, unless replace_all is true.",
            min_length=1,
        ),
    ]
    new_string: Annotated[str, Meta(description="The text to put there.")]
    replace_all: Annotated[bool, Meta(description="Whether to replace every occurrence.")] = False


class _Edit(Struct, frozen=True):
    """The file's SHA-256 before and after, noted before the file is written."""

    before: str
    after: str


class EditFile:
    """Replaces text in a file. Keyed by what the file's hash was before and will be after."""

    spec = describe(
        "edit_file",
        "Replaces a piece of text in a text file of the workspace. Read the file first.",
        EditFileArguments,
        Effect.KEYED,
    )

    def __init__(self, locks: WorkspaceLocks) -> None:
        self._locks = locks

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        """The text is replaced, by this attempt or by an earlier one of the same call."""
        wanted = parse(arguments, EditFileArguments)
        if wanted.old_string == wanted.new_string:
            raise ToolError("old_string and new_string are equal: there is nothing to change")
        async with self._locks.of(context.session):
            earlier = await _earlier(context)
            if earlier is None or not await _is_done(earlier, wanted.path, context):
                await _apply(wanted, context)
        return ToolOutput(text=f"edited {shown(wanted.path)}")


async def _earlier(context: ToolContext) -> _Edit | None:
    """Gives what an earlier attempt noted before it wrote; without a note, it wrote nothing."""
    note = await context.ledger.recall(context.key) if context.again else None
    return None if note is None else msgspec.json.decode(note, type=_Edit)


async def _is_done(earlier: _Edit, path: str, context: ToolContext) -> bool:
    """Says whether the earlier attempt wrote the file. Raises ToolError if the file does not tell."""
    try:
        found = await asyncio.to_thread(_digest, await context.workspace.read(path))
    except ToolError as error:
        raise ToolError(f"{_unknown(path)} ({error})") from error
    if found not in {earlier.before, earlier.after}:
        raise ToolError(_unknown(path))
    return found == earlier.after


def _unknown(path: str) -> str:
    return (
        f"{shown(path)} changed after an earlier attempt at this edit, whose outcome is unknown; "
        "read the file, and edit it again if that is still needed"
    )


async def _apply(wanted: EditFileArguments, context: ToolContext) -> None:
    data = await context.workspace.read(wanted.path)
    edited, edit = await asyncio.to_thread(_replace, data, wanted)
    await context.ledger.note(context.key, msgspec.json.encode(edit))
    await context.workspace.write(wanted.path, edited)


def _replace(data: bytes, wanted: EditFileArguments) -> tuple[bytes, _Edit]:
    text = decode_text(data, wanted.path)
    count = text.count(wanted.old_string)
    if count == 0:
        raise ToolError(_no_match(text, wanted))
    if count > 1 and not wanted.replace_all:
        raise ToolError(_several(text, count, wanted))
    edited = encode_text(text.replace(wanted.old_string, wanted.new_string), wanted.path)
    return edited, _Edit(_digest(data), _digest(edited))


def _no_match(text: str, wanted: EditFileArguments) -> str:
    crlf = "\r\n" in text and "\n" in wanted.old_string and "\r\n" not in wanted.old_string
    hint = "the file's lines end in CRLF (\\r\\n)" if crlf else "read the file and copy the text exactly"
    return f"old_string does not occur in {shown(wanted.path)}; {hint}"


def _several(text: str, count: int, wanted: EditFileArguments) -> str:
    lines: list[str] = []
    at, line, seen = text.find(wanted.old_string), 1, 0
    while at >= 0 and len(lines) < MAX_SHOWN_MATCHES:
        line += text.count("\n", seen, at)
        lines.append(str(line))
        seen, at = at, text.find(wanted.old_string, at + len(wanted.old_string))
    more = ", …" if count > len(lines) else ""
    return (
        f"old_string occurs {count} times in {shown(wanted.path)}, on lines {', '.join(lines)}{more}; "
        "include more of the text around it, or set replace_all"
    )


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
