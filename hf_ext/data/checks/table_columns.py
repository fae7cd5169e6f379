"""Table columns that say nothing, or too much: constant ones, ids, and those that give the label away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_ext.data.checks.findings import Finding

CONSTANT = 0.99  # share of the commonest cell from which a column says next to nothing
MISSING = 0.5  # share of empty cells worth a word
IDENTIFIES = 0.5  # different cells for a row, from which a column of categories is rather an id
MOST_GROUPS = 50  # different numbers that are taken as they are; more are cut into as many quantiles
GIVES_AWAY = 0.95  # lambda from which a column as good as holds the label
FEWEST = 20  # rows below which nothing is said about columns


@dataclass
class TableColumn:
    """One column of a split, and the labels beside it.

    Args:
        name: Its name.
        cells: A number for the cell of each row; the same cell has the same number in every split.
        missing: Which cells are empty.
        numeric: Whether it is one of numbers.
    """

    name: str
    cells: np.ndarray
    missing: np.ndarray
    numeric: bool = False


def find_constant(column: TableColumn, shown: str, source: str) -> list[Finding]:
    """Say when nearly all cells of a column are the same.

    Args:
        column: The column.
        shown: Its most frequent cell, for the message.
        source: The file.
    """
    rows = len(column.cells)
    most = int(np.bincount(column.cells).max(initial=0))
    if rows < FEWEST or most < CONSTANT * rows:
        return []
    what, fix = f"cells of the column {column.name!r} are {shown!r}", "leave it out: there is next to nothing to learn"
    return [Finding("near_constant_column", source, most, what, total=rows, fix=fix)]


def find_missing(column: TableColumn, source: str) -> list[Finding]:
    """Say when at least half of the cells are empty."""
    empty, rows = int(column.missing.sum()), len(column.cells)
    if rows < FEWEST or empty < MISSING * rows or empty >= CONSTANT * rows:
        return []
    return [Finding("missing_cells", source, empty, f"cells of the column {column.name!r} are empty", total=rows)]


def find_identifying(column: TableColumn, source: str) -> list[Finding]:
    """Say when a column of categories has hardly a category that occurs twice."""
    rows, different = len(column.cells), len(np.unique(column.cells))
    if column.numeric or rows < FEWEST or different < IDENTIFIES * rows:
        return []
    what = f"different categories in the column {column.name!r}; is it an id?"
    fix = "leave it out, or raise --min_category_count"
    return [Finding("identifying_column", source, different, what, total=rows, fix=fix)]


def find_telltale(
    column: TableColumn, labels: np.ndarray, held_out: tuple[np.ndarray, np.ndarray] | None, source: str
) -> tuple[float, list[Finding]]:
    """Measure how far a column gives the label away, and say so where it does.

    Args:
        column: The column in training.
        labels: Number of the label of each training row.
        held_out: Cells and labels of other rows, numbered alike; None learns from one half of the training rows, drawn
            at random, and measures on the other, in turns.
        source: The training file.

    Returns:
        ``predictive_power``, and a finding if it is nearly 1.
    """
    if held_out is not None:
        power = predictive_power(column.cells, labels, *held_out)
    else:
        order = np.random.default_rng(0).permutation(len(labels))  # files come sorted, or with labels in turns
        first, second = ((column.cells[half], labels[half]) for half in (order[::2], order[1::2]))
        power = (predictive_power(*first, *second) + predictive_power(*second, *first)) / 2
    if power < GIVES_AWAY or len(labels) < FEWEST:
        return power, []
    what = f"% of the mistakes of guessing are avoided by the column {column.name!r} alone: it gives the label away"
    fix = "leave it out unless it will be known when the model is used"
    return power, [Finding("telltale_column", source, round(100 * power), what, fix=fix)]


def predictive_power(cells: np.ndarray, labels: np.ndarray, new_cells: np.ndarray, new_labels: np.ndarray) -> float:
    """Measure how well one column alone tells the label of new rows.

    The rule gives each cell the label that it mostly has in training, and an unknown cell the commonest one. It is
    measured by Goodman and Kruskal's lambda (1954): the share of the mistakes of always saying the commonest label
    that the rule avoids; 1 when it is always right, 0 or less when it is of no use.

    Args:
        cells: Number of the cell of each training row.
        labels: Number of the label of each training row.
        new_cells: Those of the new rows.
        new_labels: Those of the new rows.
    """
    if not len(labels) or not len(new_labels):
        return 0.0
    width = int(max(labels.max(), new_labels.max())) + 1
    commonest = int(np.bincount(labels).argmax())
    pairs, counts = np.unique(cells * width + labels, return_counts=True)
    pairs = pairs[np.lexsort((-counts, pairs // width))]  # within a cell, the most frequent label first
    known, first = np.unique(pairs // width, return_index=True)
    at = np.minimum(np.searchsorted(known, new_cells), len(known) - 1)
    guesses = np.where(known[at] == new_cells, pairs[first][at] % width, commonest)
    base = float((new_labels == commonest).mean())
    return 0.0 if base == 1 else (float((guesses == new_labels).mean()) - base) / (1 - base)


def group_numbers(values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Turn numbers into numbers of groups: equal ones together, or quantiles where there are many different ones.

    Args:
        values: The numbers of each split, NaN where missing; the first split decides the groups.
    """
    different = np.unique(values[0][~np.isnan(values[0])])
    if len(different) > MOST_GROUPS:
        different = np.unique(np.quantile(different, np.linspace(0, 1, MOST_GROUPS)))
    return [np.where(np.isnan(v), 0, np.searchsorted(different, v, side="right") + 1) for v in values]
