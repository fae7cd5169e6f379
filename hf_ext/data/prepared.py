"""The checked rows of a classification, before they become features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import datasets

from hf_ext.data.labels import LabelReader
from hf_ext.models.schema import TaskSchema


@dataclass
class RowSplit:
    """The rows of one split.

    Args:
        name: ``train``, ``validation`` or ``test``.
        rows: Text cells, and the line of each row in the column ``_line``; an IterableDataset when streamed.
        source: The file, for messages.
        reader: How its label cells are read; None when it has no label column.
    """

    name: str
    rows: datasets.Dataset | datasets.IterableDataset
    source: str
    reader: LabelReader | None = None


@dataclass
class Prepared:
    """What ``prepare`` has made; the fields of ``ClassificationData``."""

    schema: TaskSchema
    splits: dict[str, RowSplit]
    notes: list[str]
    split_indices: dict[str, Any] | None
