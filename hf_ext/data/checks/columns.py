"""The table columns of all splits, looked at one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa

from hf_ext.data.checks.compared_rows import NONE, ComparedRows, as_text, encode
from hf_ext.data.checks.findings import Finding
from hf_ext.data.checks.table_columns import (
    TableColumn,
    find_constant,
    find_identifying,
    find_missing,
    find_telltale,
    group_numbers,
)
from hf_ext.models.schema import parse_number

Tables = Mapping[str, pa.Table]


def inspect_columns(
    tables: Tables,
    rows: Mapping[str, ComparedRows],
    names: Sequence[str],
    *,
    categorical: Collection[str],
    single_label: bool,
) -> tuple[list[Finding], dict[str, float]]:
    """Look at the columns that a model is to read beside the text.

    Args:
        tables: By split, ``train`` among them.
        rows: By split, where their labels are.
        names: The columns.
        categorical: Those among them whose numbers are names; any other with nothing but numbers is one of numbers.
        single_label: Whether each row has one label, so that a column can give it away.

    Returns:
        What was found, and the ``predictive_power`` of each column by name.
    """
    source, labels = rows["train"].source, rows["train"].answers
    held_out = next((name for name in ("validation", "test") if name in rows and _labelled(rows[name]).any()), None)
    found: list[Finding] = []
    powers: dict[str, float] = {}
    for name in names:
        columns, commonest = read_column(tables, name, is_category=name in categorical)
        train = columns["train"]
        found += find_constant(train, commonest, source) + find_missing(train, source) + find_identifying(train, source)
        if single_label:
            others = None
            if held_out is not None:
                known = _labelled(rows[held_out])
                others = (columns[held_out].cells[known], rows[held_out].answers[known])
            power, telltale = find_telltale(train, labels, others, source)
            powers[name] = round(power, 3)
            found += telltale
    return found, powers


def read_column(tables: Tables, name: str, *, is_category: bool) -> tuple[dict[str, TableColumn], str]:
    """Give a column of every split, its cells numbered alike, and the commonest cell of training."""
    parts = [as_text(table.column(name)) for table in tables.values()]
    codes, cells = encode(pa.chunked_array(parts))
    split_at = np.cumsum([len(part) for part in parts])[:-1]
    by_split = dict(zip(tables, np.split(codes, split_at), strict=True))
    commonest = cells[int(np.bincount(by_split["train"]).argmax())]
    values = None if is_category else _read_numbers(cells)
    if values is None:
        empty = np.array([not cell.strip() for cell in cells])
        return {split: TableColumn(name, part, empty[part]) for split, part in by_split.items()}, commonest
    groups = group_numbers([values[by_split["train"]], *(values[part] for part in by_split.values())])[1:]
    missing = np.isnan(values)
    return {
        split: TableColumn(name, group, missing[part], numeric=True)
        for (split, part), group in zip(by_split.items(), groups, strict=True)
    }, commonest


def _read_numbers(cells: Sequence[str]) -> np.ndarray | None:
    """Read cells as numbers, NaN where one is missing; None if they are not all numbers."""
    try:
        return np.array([parse_number(cell) for cell in cells])
    except ValueError:
        return None


def _labelled(rows: ComparedRows) -> np.ndarray:
    return np.asarray(rows.answers != NONE)
