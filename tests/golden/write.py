"""Adds a golden log: `python -m tests.golden.write NAME`. A golden that exists is never written again."""

import sys
from pathlib import Path

import msgspec

from app.core.encoding import number
from app.core.fold import fold
from app.core.records import AnyRecord
from app.core.state import AgentState, encode_state
from tests.golden.cases import CASES

HERE = Path(__file__).parent


def write(name: str, records: list[AnyRecord], directory: Path = HERE) -> None:
    """The log and its state are in the directory. Raises FileExistsError, and writes nothing, if either was before."""
    log, state = directory / f"{name}.jsonl", directory / f"{name}.state.json"
    for path in (log, state):
        if path.exists():
            raise FileExistsError(f"{path.name} is golden and stays as it is; add another case instead")
    entries = number(records, 0)
    log.write_bytes(b"".join(entry.body + b"\n" for entry in entries))
    state.write_bytes(msgspec.json.format(encode_state(fold(AgentState(), entries)), indent=2) + b"\n")


def main(arguments: list[str]) -> int:
    """Gives 0 once every named golden was added."""
    if not arguments or any(name not in CASES for name in arguments):
        print(f"usage: python -m tests.golden.write NAME…, of {', '.join(CASES)}", file=sys.stderr)
        return 2
    try:
        for name in arguments:
            write(name, CASES[name]())
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
