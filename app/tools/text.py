"""Files as text: what is text, how it is shown, and the arguments that name files."""

from typing import Annotated

from msgspec import Meta

from app.core.errors import ToolError
from app.workspace.paths import shown

FilePath = Annotated[str, Meta(description="The file's path, relative to the workspace.", max_length=4096)]
DirectoryPath = Annotated[
    str, Meta(description="The directory's path, relative to the workspace; empty for its root.", max_length=4096)
]

MAX_LINE_CHARS = 2000
"""How much of one line is shown."""


def decode_text(data: bytes, path: str) -> str:
    """Gives the file's text. Raises ToolError for a binary file, and for one that is not UTF-8."""
    if b"\0" in data:
        raise ToolError(f"{shown(path)} is a binary file of {len(data)} bytes; only text can be read or edited")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ToolError(
            f"{shown(path)} is not UTF-8 text: byte {error.start} of {len(data)} is 0x{data[error.start]:02x}; "
            "only UTF-8 can be read or edited"
        ) from error


def encode_text(text: str, path: str) -> bytes:
    """Gives the text's bytes. Raises ToolError for lone surrogates, which no file can hold."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ToolError(f"the text for {shown(path)} is not Unicode: a lone surrogate at {error.start}") from error


def split_lines(text: str) -> list[str]:
    """Gives the lines: they end at line feeds only, and there is none after the last one."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def number_lines(lines: list[str], first: int) -> str:
    """Gives the lines as `cat -n` writes them, the first under that number; long ones are cut, and say so."""
    return "\n".join(f"{number:>6}\t{_bounded(line)}" for number, line in enumerate(lines, first))


def _bounded(line: str) -> str:
    line = line.removesuffix("\r")
    if len(line) <= MAX_LINE_CHARS:
        return line
    return f"{line[:MAX_LINE_CHARS]}… [{len(line) - MAX_LINE_CHARS} more characters]"
