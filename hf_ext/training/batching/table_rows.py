"""Rows handed to the collator as one table, not as a dictionary each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import pyarrow as pa
from datasets.formatting import query_table

SAME_VALUES = (None, "numpy", "torch")  # formats that change the type of a cell, but not what stands in it


class TableRows(datasets.Dataset):
    """A data set of which a data loader gets a batch as one Arrow table.

    Most of the time that collation takes goes into making a Python object of every token and a dictionary of every
    row. Here neither is made: the rows are cut out of the table on disk. All else is as of any ``datasets.Dataset``:
    ``dataset[i]`` is still a dictionary.
    """

    def __getitems__(self, keys: Sequence[int]) -> pa.Table:
        """Give some rows, in this order."""
        return query_table(self.data, list(keys), indices=self._indices)


def hand_out_tables(dataset: Any, collator: Any) -> Any:
    """Make a data set give its batches as tables where the collator can take them.

    Args:
        dataset: The rows. Anything but a plain ``datasets.Dataset`` stays as it is, and so does one with a transform
            of its own or with hidden columns.
        collator: It takes tables if the class that defines how it is called has a true ``takes_tables``. A subclass
            that reads rows in a ``__call__`` of its own so gets rows.

    Returns:
        The same rows as ``TableRows``, or the data set as it was.
    """
    if type(dataset) is not datasets.Dataset or not takes_tables(collator):
        return dataset
    shown = dataset.format
    if shown["type"] not in SAME_VALUES or shown["columns"] != dataset.column_names:
        return dataset
    return TableRows(
        dataset.data,
        info=dataset.info,
        split=dataset.split,
        indices_table=dataset._indices,
        fingerprint=dataset._fingerprint,
    )


def takes_tables(collator: Any) -> bool:
    """Say whether a collator can be called with an Arrow table."""
    caller = next((kind for kind in type(collator).__mro__ if "__call__" in vars(kind)), None)
    return bool(vars(caller).get("takes_tables", False)) if caller is not None else False
