"""How many tokens each row has, without reading the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from transformers.trainer_utils import has_length

TOKENS = "input_ids"


def read_lengths(dataset: Any, *, column: str = "length") -> NDArray[np.int64] | None:
    """Give the number of tokens of each row.

    Of a ``datasets.Dataset`` they are differences of the offsets in its Arrow table, so that no token is read and
    nothing is decoded. Rows that are held in memory as a list are measured one by one.

    Args:
        dataset: The rows.
        column: A column of the table that holds the lengths, where there is one.

    Returns:
        Shape ``(rows,)``; None where rows have no ``input_ids``, are streamed, or would have to be computed one by one.
    """
    if isinstance(dataset, datasets.Dataset):
        return _read_table(dataset, column)
    if isinstance(dataset, list | tuple) and dataset and isinstance(dataset[0], Mapping) and TOKENS in dataset[0]:
        return measure_rows(dataset)
    return None


def measure_rows(dataset: Any) -> NDArray[np.int64] | None:
    """Give the number of tokens of each row by reading all of them; None where they have no ``input_ids``."""
    rows: Any = dataset
    if not has_length(dataset) or len(rows) == 0:
        return None
    first = rows[0]
    if not isinstance(first, Mapping) or TOKENS not in first:
        return None
    return np.fromiter((len(rows[i][TOKENS]) for i in range(len(rows))), dtype=np.int64, count=len(rows))


def _read_table(dataset: datasets.Dataset, column: str) -> NDArray[np.int64] | None:
    if column in dataset.column_names and pa.types.is_integer(dataset.data.schema.field(column).type):
        found = dataset.data.column(column)
    elif TOKENS in dataset.column_names:
        found = pc.list_value_length(dataset.data.column(TOKENS))
    else:
        return None
    lengths = np.asarray(pc.fill_null(found, 0).to_numpy(), dtype=np.int64)
    picked = dataset._indices  # rows that were selected or shuffled, as numbers of rows of the table
    return lengths if picked is None else lengths[picked.column(0).to_numpy()]
