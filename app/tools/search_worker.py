"""The process that `searcher.py` starts: reads an order and files, answers with matches. Standard library only.

It limits its own memory and CPU time, so that it cannot outlive a server that was killed.
"""

import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

CPU_SECONDS = 30
MEMORY_BYTES = 1024 * 1024 * 1024
SHOWN_CHARS = 500
BEFORE_CHARS = 200


def main() -> None:
    """Everything was read, then one JSON object was written."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answer = _answer(sys.stdin.buffer)
    os.close(sys.stdin.fileno())  # the server stops sending, and listens
    sys.stdout.write(json.dumps(answer))


def _answer(source: BinaryIO) -> dict[str, Any]:
    order = json.loads(source.readline())
    try:
        pattern = re.compile(order["pattern"], re.IGNORECASE if order["ignore_case"] else 0)
    except (re.error, OverflowError, RecursionError) as error:
        return {"error": str(error)}
    return _search(pattern, order["limit"], source)


def _search(pattern: re.Pattern[str], limit: int, source: BinaryIO) -> dict[str, Any]:
    matches: list[dict[str, Any]] = []
    searched = binary = 0
    for path, data in _files(source):
        text = _decode(data)
        if text is None:
            binary += 1
            continue
        searched += 1
        for match in _lines(pattern, text):
            if len(matches) == limit:
                return {"matches": matches, "full": True}
            matches.append({"path": path, **match})
    return {"matches": matches, "searched": searched, "binary": binary}


def _files(source: BinaryIO) -> Iterator[tuple[str, bytes]]:
    while line := source.readline():
        header = json.loads(line)
        yield header["path"], source.read(header["size"])


def _decode(data: bytes) -> str | None:
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


def _lines(pattern: re.Pattern[str], text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        found = pattern.search(line.removesuffix("\r"))
        if found:
            yield {"line": number, "text": _around(line.removesuffix("\r"), found.start())}


def _around(line: str, at: int) -> str:
    """Gives the line, or of a long one the part around the match."""
    start = max(0, at - BEFORE_CHARS) if len(line) > SHOWN_CHARS else 0
    end = start + SHOWN_CHARS
    return ("…" if start else "") + line[start:end] + ("…" if end < len(line) else "")


if __name__ == "__main__":
    main()
