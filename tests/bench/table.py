"""The table: what was measured, the floor in the same run, and whether the target is met."""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

How = Literal["ratio", "over", "value"]


class Row(Struct, frozen=True, kw_only=True):
    """One measure. Judged is its ratio to the floor, what it is over the floor, or the value itself.

    Without a `target` the row only informs.
    """

    what: str
    value: float
    unit: str
    floor: float | None = None
    how: How = "value"
    target: float | None = None

    @property
    def judged(self) -> float:
        """Gives the number that the target bounds."""
        match self.how:
            case "ratio":
                return self.value / (self.floor or float("nan"))
            case "over":
                return self.value - (self.floor or 0.0)
            case "value":
                return self.value

    @property
    def is_missed(self) -> bool:
        """Says whether there is a target, and the number is not within it (no number is not, either)."""
        return self.target is not None and not self.judged <= self.target


def missed(rows: Iterable[Row]) -> list[str]:
    """Gives the measures that miss their targets."""
    return [row.what for row in rows if row.is_missed]


def shown(rows: Sequence[Row]) -> str:
    """Gives the rows as a Markdown table."""
    lines = [("what", "value", "floor", "judged", "target", ""), ("---", "---:", "---:", "---:", "---:", "---")]
    lines += [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(_line(line, widths) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    value, floor = (f"{_figure(number)} {row.unit}" if number is not None else "" for number in (row.value, row.floor))
    verdict = "" if row.target is None else "MISS" if row.is_missed else "ok"
    return row.what, value, floor, _judged(row, row.judged), _target(row), verdict


def _target(row: Row) -> str:
    return "" if row.target is None else f"at most {_judged(row, row.target)}"


def _judged(row: Row, number: float) -> str:
    match row.how:
        case "ratio":
            return f"{number:.2f}x"
        case "over":
            return f"{number:+.2f} {row.unit}"
        case "value":
            return f"{_figure(number)} {row.unit}"


def _figure(number: float) -> str:
    number = float(number)
    return f"{number:.0f}" if number >= 100 or number.is_integer() else f"{number:.2f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    columns = enumerate(zip(cells, widths, strict=True))
    padded = (cell.ljust(width) if column in {0, 5} else cell.rjust(width) for column, (cell, width) in columns)
    return f"| {' | '.join(padded)} |"
