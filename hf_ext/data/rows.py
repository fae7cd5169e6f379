"""Rows of text cells, and what is known about them before they are read."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets

from hf_ext.errors import UserError
from hf_ext.progress import with_bar

LINE_COLUMN = "_line"

Cell = str | list[str]
Row = dict[str, Any]


@dataclass
class RowReader:
    """A file that has been looked at, ready to give its rows as often as asked, in constant memory.

    Args:
        source: The file as the user named it, for messages.
        columns: Names of its columns, in order.
        records: Called without arguments, gives ``(line, {column: cell})`` for each row; absent columns are allowed.
        list_columns: Columns whose cells are lists of text.
        notes: What a reader of the log should know, one sentence each; reading may add some.
    """

    source: str
    columns: tuple[str, ...]
    records: Callable[[], Iterator[tuple[int, Row]]]
    list_columns: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_column_names(self.columns, self.source)

    @property
    def features(self) -> datasets.Features:
        """The columns as ``datasets`` types: text, or lists of text, and the line number."""
        text, texts = datasets.Value("string"), datasets.List(datasets.Value("string"))
        kinds: dict[str, Any] = {name: texts if name in self.list_columns else text for name in self.columns}
        return datasets.Features({**kinds, LINE_COLUMN: datasets.Value("int64")})

    def __iter__(self) -> Iterator[Row]:
        for line, record in self.records():
            row: Row = {}
            for name in self.columns:
                cell = record.get(name, "")
                row[name] = [cell] if name in self.list_columns and isinstance(cell, str) else cell
            row[LINE_COLUMN] = line
            yield row

    def read(self) -> Table:
        """Read all rows into memory.

        Raises:
            UserError: If there is no row.
        """
        columns: dict[str, list[Any]] = {name: [] for name in (*self.columns, LINE_COLUMN)}
        for row in with_bar(self, f"read {Path(self.source).name}", unit="rows"):
            for name, cells in columns.items():
                cells.append(row[name])
        if not columns[LINE_COLUMN]:
            raise UserError("no rows", where=self.source, fix="check that this is the right file")
        return Table(datasets.Dataset.from_dict(columns, features=self.features), self.source, list(self.notes))


@dataclass
class Table:
    """The rows of one file.

    Args:
        rows: Text cells (or lists of text), and the first line of each row in the column ``LINE_COLUMN``.
        source: The file as the user named it, for messages.
        notes: What a reader of the log should know, one sentence each.
    """

    rows: datasets.Dataset
    source: str
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The names of the file's own columns."""
        return [name for name in self.rows.column_names if name != LINE_COLUMN]


def check_column_names(names: Sequence[str], source: str) -> None:
    """Refuse column names that occur twice or that hf_ext needs itself.

    Raises:
        UserError: Naming the column.
    """
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UserError(f"two columns are named {name!r}", where=f"{source}:1", fix="rename one of them")
        if name == LINE_COLUMN:
            raise UserError(f"the column name {name!r} is reserved", where=f"{source}:1", fix="rename the column")


def name_unnamed(names: Sequence[str]) -> tuple[str, ...]:
    """Strip the names of a header and call an empty one ``unnamed_0`` by its position."""
    return tuple(name.strip() or f"unnamed_{i}" for i, name in enumerate(names))


def to_cell(value: Any, column: str, where: str) -> Cell:
    """Write a JSON or parquet value as text: ``true``, ``3``, nothing for null; lists stay lists, of text.

    Raises:
        UserError: If the value is an object, or a list of something that is not plain.
    """
    if isinstance(value, str):
        return value if value.isascii() else mend_surrogates(value)
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return [str(to_cell(item, column, where)) for item in value]
    if isinstance(value, dict | list | bytes):
        kind = {dict: "an object", list: "a list of lists", bytes: "binary data"}[type(value)]
        raise UserError(
            f"column {column!r} holds {kind}", where=where, fix=f"flatten it, or pass --remove_columns {column}"
        )
    if value is None or value != value:  # only NaN differs from itself; parquet writers use it for a missing number
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


def mend_surrogates(text: str) -> str:
    """Replace half a character, which JSON can hold (``\\ud800``) and UTF-8 cannot, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
