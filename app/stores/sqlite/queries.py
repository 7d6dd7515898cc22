"""The statements in this package's `.sql` files, and their execution by name."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Arguments = Sequence[Any] | Mapping[str, Any]


def load_statements() -> dict[str, str]:
    """Gives every statement by the name that the comment `-- name: …` above it says."""
    found: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob("*.sql")):
        for section in file.read_text(encoding="utf-8").split("-- name: ")[1:]:
            name, _, statement = section.partition("\n")
            found[name.strip()] = statement.strip()
    return found


class Queries:
    """One connection, spoken to by the statements' names."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
        self.connection = connection
        self._statements = statements

    def run(self, name: str, arguments: Arguments = ()) -> int:
        """The statement was executed; gives how many rows it changed."""
        return self.connection.execute(self._statements[name], arguments).rowcount

    def run_many(self, name: str, rows: Iterable[Arguments]) -> None:
        """The statement was executed for each row."""
        self.connection.executemany(self._statements[name], rows)

    def run_script(self, name: str) -> None:
        """The section's statements were executed, outside any transaction."""
        self.connection.executescript(self._statements[name])

    def row(self, name: str, arguments: Arguments = ()) -> tuple[Any, ...] | None:
        """Gives the only row, or None."""
        rows = self.connection.execute(self._statements[name], arguments).fetchall()
        return rows[0] if rows else None

    def rows(self, name: str, arguments: Arguments = ()) -> Iterator[tuple[Any, ...]]:
        """Gives the rows, read only as far as they are used."""
        return self.connection.execute(self._statements[name], arguments)
