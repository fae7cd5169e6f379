"""What a benchmark found, as tables: for the screen, for its JSON file and for the page of benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | float | None


@dataclass(frozen=True)
class Table:
    """Rows of figures under their columns.

    Args:
        title: What was measured, with its sizes.
        columns: Their headings, with the unit and what was asked where something was.
        rows: A cell for each column. Text stands as it is; numbers are rounded to three digits; None is a dash.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Table:
        """Read what ``dataclasses.asdict`` wrote."""
        return cls(content["title"], content["columns"], content["rows"])

    def to_markdown(self) -> str:
        """Write the title and the table.

        Raises:
            ValueError: If a row has more or fewer cells than there are columns.
        """
        wrong = next((row for row in self.rows if len(row) != len(self.columns)), None)
        if wrong is not None:
            raise ValueError(f"{self.title}: {len(self.columns)} columns, but a row of {len(wrong)}: {wrong}.")
        lines = [_line(self.columns), "|---" * len(self.columns) + "|", *map(_line, self.rows)]
        return "\n".join([f"{self.title}:", "", *lines, ""])


def place_side_by_side(
    results: Mapping[str, Mapping[str, Mapping[str, Any]]], figures: Mapping[str, Callable[[Mapping[str, Any]], Cell]]
) -> tuple[list[str], list[list[Cell]]]:
    """Lay out the same arms measured on several kinds of data, a row an arm.

    Args:
        results: Kind to arm to what was found; every kind has the same arms.
        figures: Heading to what stands under it.

    Returns:
        Columns, of which only the first of a kind names it, and rows.
    """
    first = next(iter(figures))
    columns = [f"{kind}: {name}" if name == first else name for kind in results for name in figures]
    rows: list[list[Cell]] = [
        [arm, *(read(found[arm]) for found in results.values() for read in figures.values())]
        for arm in next(iter(results.values()))
    ]
    return ["arm", *columns], rows


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables as Markdown."""
    for table in tables:
        print(f"\n{table.to_markdown()}", flush=True)


def _line(cells: Iterable[Cell]) -> str:
    return f"| {' | '.join(map(_show, cells))} |"


def _show(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    return f"{cell:,.0f}" if isinstance(cell, int) or abs(cell) >= 100 else f"{cell:#.3g}".rstrip(".")
