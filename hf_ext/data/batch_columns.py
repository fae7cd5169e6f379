"""The features of a batch as flat arrays, whether it comes as rows or as one table."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

Batch: TypeAlias = Sequence[Mapping[str, Any]] | pa.Table


class FlatLists(NamedTuple):
    """The lists of several rows, end to end.

    Args:
        values: All their elements, shape ``(N,)``; of lists read from a table they may not be written to.
        lengths: How many of them each row has, int64, shape ``(B,)``.
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64]


class BatchColumns(Protocol):
    """What a collator reads of a batch."""

    def __contains__(self, name: str) -> bool:
        """Say whether the batch has a feature."""

    def lists(self, name: str) -> FlatLists:
        """Give a feature that is a list of whole numbers or truth values in each row."""

    def nested_lists(self, name: str) -> tuple[NDArray[np.int64], FlatLists]:
        """Give a feature that is a list of lists in each row: how many lists each row has, and all these lists."""

    def stack(self, name: str) -> NDArray[Any]:
        """Give a feature that is a number in each row, shape ``(B,)``, or a list of K numbers, shape ``(B, K)``."""


def read_columns(batch: Batch) -> BatchColumns:
    """Choose how a batch is read.

    Args:
        batch: A dictionary for each row, with lists, arrays or tensors; or a table with a line for each row.
    """
    return TableColumns(batch) if isinstance(batch, pa.Table) else RowColumns(batch)


class RowColumns:
    """Read rows that are dictionaries, all with the keys of the first one."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows

    def __contains__(self, name: str) -> bool:
        return name in self._rows[0]

    def lists(self, name: str) -> FlatLists:
        """Give a feature that is a list of whole numbers in each row."""
        return flatten([row[name] for row in self._rows])

    def nested_lists(self, name: str) -> tuple[NDArray[np.int64], FlatLists]:
        """Give a feature that is a list of lists in each row: how many lists each row has, and all these lists."""
        cells = [row[name] for row in self._rows]
        return np.array([len(cell) for cell in cells]), flatten(list(chain.from_iterable(cells)))

    def stack(self, name: str) -> NDArray[Any]:
        """Give a feature that is a number in each row, shape ``(B,)``, or a list of K numbers, shape ``(B, K)``."""
        return np.asarray([row[name] for row in self._rows])


class TableColumns:
    """Read an Arrow table: its buffers are looked at, no cell becomes a Python object."""

    def __init__(self, table: pa.Table) -> None:
        whole = table.combine_chunks()  # of all columns at once: rows from everywhere come in as many chunks
        self._columns = {name: whole.column(i).chunk(0) for i, name in enumerate(whole.column_names)}

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def lists(self, name: str) -> FlatLists:
        """Give a feature that is a list of whole numbers in each row."""
        values, lengths = _split_lists(self._columns[name])
        return FlatLists(_as_array(values), lengths)

    def nested_lists(self, name: str) -> tuple[NDArray[np.int64], FlatLists]:
        """Give a feature that is a list of lists in each row: how many lists each row has, and all these lists."""
        words, counts = _split_lists(self._columns[name])
        values, lengths = _split_lists(words)
        return counts, FlatLists(_as_array(values), lengths)

    def stack(self, name: str) -> NDArray[Any]:
        """Give a feature that is a number in each row, shape ``(B,)``, or a list of K numbers, shape ``(B, K)``."""
        column = self._columns[name]
        if not _is_list(column.type):
            return _as_array(column)
        values, lengths = _split_lists(column)
        return _as_array(values).reshape(len(lengths), -1)


def flatten(lists: Sequence[Any]) -> FlatLists:
    """Put lists, arrays or tensors end to end: of whole numbers as int64, of truth values as bool."""
    lengths = np.array([len(cell) for cell in lists], dtype=np.int64)
    if not lists or not isinstance(lists[0], list):
        arrays = [np.asarray(cell) for cell in lists] or [np.zeros(0)]
        kind: DTypeLike = np.bool_ if arrays[0].dtype == np.bool_ else np.int64
        return FlatLists(np.concatenate(arrays, dtype=kind, casting="unsafe"), lengths)
    if lists[0] and isinstance(lists[0][0], bool):
        return FlatLists(np.frombuffer(b"".join(map(bytes, lists)), dtype=np.bool_), lengths)
    numbers = list(chain.from_iterable(lists))
    # faster than np.array, which looks at the type of every number first
    return FlatLists(np.frombuffer(struct.pack(f"{len(numbers)}q", *numbers), dtype=np.int64), lengths)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _split_lists(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Give the elements of all lists, and how many each list has."""
    if pa.types.is_fixed_size_list(column.type):
        return column.flatten(), np.full(len(column), column.type.list_size, dtype=np.int64)
    offsets = column.offsets.to_numpy().astype(np.int64)
    begin, end = int(offsets[0]), int(offsets[-1])
    return column.values.slice(begin, end - begin), offsets[1:] - offsets[:-1]


def _as_array(column: pa.Array) -> NDArray[Any]:
    return column.to_numpy(zero_copy_only=False)  # without a copy but of truth values and where cells are empty
