"""Rows as numbers that can be compared: equal inputs have equal numbers, within a split and across splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

NONE = -1


@dataclass
class ComparedRows:
    """The rows of one split.

    Args:
        split: ``train``, ``validation`` or ``test``.
        source: The file, for messages; with the split where several are cut from it.
        lines: The line of each row.
        texts: A number for the text of each row, the same for the same text in every split; -1 where it is blank.
        inputs: A number for all that the model reads of a row: the text, and table columns beside it.
        answers: A number for the label of each row; -1 where there is none.
    """

    split: str
    source: str
    lines: np.ndarray
    texts: np.ndarray
    inputs: np.ndarray
    answers: np.ndarray


def encode(column: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, list[Any]]:
    """Number the different cells of a column in the order of their first occurrence.

    Returns:
        The number of each cell, int64, and the cell of each number.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # an empty one, or too long for one chunk
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    encoded = array.dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()


def number_rows(tables: Sequence[pa.Table], names: Sequence[str]) -> list[np.ndarray]:
    """Give each row of each table a number; rows with the same cells in these columns have the same one.

    Args:
        tables: Tables that all have these columns.
        names: Columns of text, or of lists of text.
    """
    sizes = [len(table) for table in tables]
    whole = np.zeros(sum(sizes), dtype=np.int64)
    for name in names:
        codes, cells = encode(pa.chunked_array([as_text(table.column(name)) for table in tables]))
        _, whole = np.unique(whole * max(len(cells), 1) + codes, return_inverse=True)
    return np.split(whole.reshape(-1), np.cumsum(sizes)[:-1])


def as_text(column: pa.ChunkedArray) -> pa.Array:
    """Give a column as one array of text, lists joined."""
    parts = [compute.binary_join(chunk, "\x1f") if pa.types.is_list(chunk.type) else chunk for chunk in column.chunks]
    return (
        pa.concat_arrays([part.cast(pa.large_string()) for part in parts]) if parts else pa.array([], pa.large_string())
    )


def find_blank(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """Tell which rows have nothing but blanks in all of these columns."""
    blank = np.ones(len(table), dtype=bool)
    for name in names:
        trimmed = compute.utf8_trim_whitespace(as_text(table.column(name)))
        blank &= compute.equal(trimmed, "").to_numpy(zero_copy_only=False)
    return blank
