"""The labels of the training rows, read before training, and how often each of them comes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from hf_ext.errors import UserError
from hf_ext.models.schema import IGNORED_LABEL, MULTI_LABEL

LABEL_COLUMNS = ("labels", "label", "label_ids")


def read_labels(dataset: Any, flag: str) -> list[Any]:
    """Read the label of every row, once.

    Args:
        dataset: A ``datasets.Dataset``, or anything with a length whose rows are mappings.
        flag: What asks for them, for messages.

    Returns:
        One number or list of numbers a row.

    Raises:
        UserError: If the rows are a stream, or have no labels.
    """
    require_countable(dataset, flag)
    if hasattr(dataset, "column_names"):
        name = next((name for name in LABEL_COLUMNS if name in dataset.column_names), None)
        found = None if name is None else dataset.with_format(None)[name][:]
    else:
        found = [_label_of(row) for row in _rows(dataset)]
        found = None if any(label is None for label in found) else found
    if found is None:
        raise UserError(f"{flag} counts labels, and the training rows have none (column {LABEL_COLUMNS[0]})")
    return [label.tolist() if hasattr(label, "tolist") else label for label in found]


def require_countable(dataset: Any, flag: str) -> None:
    """Refuse a stream, whose rows cannot be looked at before training.

    Raises:
        UserError: If the dataset has no length or no index.
    """
    if not _is_countable(dataset):
        raise UserError(f"{flag} counts the labels before training, which a stream does not allow", fix="leave it out")


def first_label(dataset: Any) -> torch.Tensor | None:
    """Give the label of the first row as a tensor; None where it cannot be looked at without consuming a stream."""
    if not _is_countable(dataset) or not len(dataset):
        return None
    label = _label_of(dataset[0])
    return None if label is None else torch.as_tensor(label)


def count_labels(labels: list[Any], problem_type: str, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Count, for every label, the items that have it and the items that could; -100 is not counted.

    Args:
        labels: As ``read_labels`` gives them; lists are tokens, or with several labels a row 0/1 numbers.
        problem_type: The kind of label.
        num_labels: L.

    Returns:
        Two arrays of shape ``(L,)``.

    Raises:
        ValueError: If a label is not one of the L.
    """
    if problem_type == MULTI_LABEL:
        values = np.asarray(labels, dtype=np.float64).reshape(-1, num_labels)
        counted = values != IGNORED_LABEL
        return ((values > 0.5) & counted).sum(0), counted.sum(0)
    nested = bool(labels) and isinstance(labels[0], list | tuple)
    flat = np.asarray(list(chain.from_iterable(labels)) if nested else labels, dtype=np.int64)
    flat = flat[flat != IGNORED_LABEL]
    if flat.size and not 0 <= flat.min() <= flat.max() < num_labels:
        raise ValueError(f"labels go from {flat.min()} to {flat.max()}, and the model has {num_labels} outputs.")
    return np.bincount(flat, minlength=num_labels), np.full(num_labels, flat.size)


def _is_countable(dataset: Any) -> bool:
    return hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__") and not isinstance(dataset, IterableDataset)


def _rows(dataset: Any) -> Iterator[Any]:
    return (dataset[i] for i in range(len(dataset)))


def _label_of(row: Any) -> Any:
    return next((row[name] for name in LABEL_COLUMNS if name in row), None)
