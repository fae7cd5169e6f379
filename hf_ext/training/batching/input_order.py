"""Evaluation in the order of the lengths, answers in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler
from transformers import EvalPrediction, Trainer
from transformers.trainer_utils import EvalLoopOutput

from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.training.batching.lengths import read_lengths


class LengthSortedRows(Sampler[int]):
    """Rows by their length, the longest first.

    Args:
        order: The number of each row, in the order in which they are read, shape ``(rows,)``.
    """

    def __init__(self, order: NDArray[np.int64]) -> None:
        self.order = order

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        yield from self.order.tolist()


def sort_by_length(dataset: Any, *, column: str = "length", groups: Sequence[int] = ()) -> LengthSortedRows | None:
    """Build the sampler of an evaluation: equal lengths meet in a batch, so that little is padded.

    Args:
        dataset: The rows.
        column: A column with their lengths, where there is one.
        groups: A number for each row; rows of a group stay beside one another, in their order. Nothing unless there
            are as many as rows.

    Returns:
        None where the lengths are not known or all the same: the rows then stay as they are.
    """
    lengths = read_lengths(dataset, column=column)
    if lengths is None or len(lengths) == 0 or (lengths == lengths[0]).all():
        return None
    if len(groups) != len(lengths):
        return LengthSortedRows(np.argsort(-lengths, kind="stable"))
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    longest = np.zeros(group.max() + 1, dtype=np.int64)
    np.maximum.at(longest, group, lengths)
    return LengthSortedRows(np.lexsort((group, -longest[group])))


class InputOrder:
    """Bring what an evaluation gave, row by row as the loader read them, back to the order of the data set.

    Args:
        order: The number of each row as it was read; None where that is the order of the data set.
        in_batches: Whether the values are lists of batches (``eval_do_concat_batches=False``).
    """

    def __init__(self, order: NDArray[np.int64] | None, *, in_batches: bool) -> None:
        self.order = order
        self.in_batches = in_batches

    def restore(self, values: Any) -> Any:
        """Restore arrays whose first dimension counts rows, alone or in tuples, lists and mappings.

        Of batches, as many rows as before stand in each, padded with -100 to their own largest size.
        """
        if self.order is None or values is None:
            return values
        return self._restore_batches(values) if self.in_batches else self._restore(values)

    def restore_output(self, output: EvalLoopOutput) -> EvalLoopOutput:
        """Restore predictions and labels."""
        return output._replace(predictions=self.restore(output.predictions), label_ids=self.restore(output.label_ids))

    def restoring(self, metric: Callable[..., Any]) -> Callable[..., Any]:
        """Make a metric that is given all rows at once see them in the order of the data set."""

        def compute(prediction: EvalPrediction) -> Any:
            given = {name: getattr(prediction, name) for name in ("predictions", "label_ids", "inputs", "losses")}
            return metric(EvalPrediction(**{name: self.restore(values) for name, values in given.items()}))

        return compute

    def _restore(self, values: Any) -> Any:
        if isinstance(values, np.ndarray):
            if self.order is None or values.ndim == 0 or len(values) < len(self.order):
                return values  # not one entry a row
            restored = np.empty_like(values[: len(self.order)])  # losses have more: a batch of few counts as a full one
            restored[self.order] = values[: len(self.order)]
            return restored
        return _map_tree(self._restore, values)

    def _restore_batches(self, batches: Sequence[Any]) -> list[Any]:
        order = self.order if self.order is not None else np.arange(0)
        rows = [_take(batch, i) for batch in batches for i in range(_count(batch))]
        restored: list[Any] = [None] * len(order)
        for number, row in zip(order.tolist(), rows, strict=False):  # of losses there are more
            restored[number] = row
        size = _count(batches[0]) if batches else 1
        return [_join(restored[i : i + size]) for i in range(0, len(restored), size)]


@contextmanager
def input_order(trainer: Trainer, dataloader: DataLoader) -> Iterator[InputOrder]:
    """Find out in which order a loader reads the rows; inside, the trainer's metric is told or need not know.

    A metric that is given all rows at once sees them in the order of the data set. One that is given batches
    (``batch_eval_metrics``) sees them as they come; if it has an attribute ``row_order`` it is set to the number of
    each row that comes, or to None.

    Args:
        trainer: Whose evaluation it is.
        dataloader: What it reads.
    """
    sampler = _find_sampler(dataloader)
    order = sampler.order if isinstance(sampler, LengthSortedRows) else None
    found = InputOrder(order, in_batches=not trainer.args.eval_do_concat_batches)
    metric = trainer.compute_metrics
    if hasattr(metric, "row_order"):
        metric.row_order = order if trainer.args.batch_eval_metrics else None  # type: ignore[union-attr]
    if metric is not None and order is not None and not trainer.args.batch_eval_metrics:
        trainer.compute_metrics = found.restoring(metric)
    try:
        yield found
    finally:
        trainer.compute_metrics = metric


def _find_sampler(dataloader: DataLoader) -> Any:
    """Give the sampler inside of what accelerate has wrapped around its batches."""
    batches: Any = dataloader.batch_sampler
    while hasattr(batches, "batch_sampler"):
        batches = batches.batch_sampler
    return getattr(batches, "sampler", None)


def _map_tree(function: Callable[[Any], Any], values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: function(value) for name, value in values.items()}
    if isinstance(values, tuple | list):
        return type(values)(function(value) for value in values)
    return values


def _count(batch: Any) -> int:
    """Give the number of rows of a batch."""
    if isinstance(batch, np.ndarray):
        return len(batch)
    parts = list(batch.values()) if isinstance(batch, Mapping) else batch
    return _count(parts[0])


def _take(batch: Any, row: int) -> Any:
    return batch[row] if isinstance(batch, np.ndarray) else _map_tree(lambda part: _take(part, row), batch)


def _join(rows: Sequence[Any]) -> Any:
    """Make a batch of rows, padded to the largest size in every dimension."""
    first = rows[0]
    if isinstance(first, Mapping):
        return {name: _join([row[name] for row in rows]) for name in first}
    if isinstance(first, tuple | list):
        return type(first)(_join([row[i] for row in rows]) for i in range(len(first)))
    arrays = [np.asarray(row) for row in rows]
    if all(array.shape == arrays[0].shape for array in arrays):
        return np.stack(arrays)
    shape = np.max([array.shape for array in arrays], axis=0).astype(int)
    joined = np.full((len(rows), *shape), IGNORED_LABEL, dtype=arrays[0].dtype)
    for i, array in enumerate(arrays):
        place: Any = (i, *map(slice, array.shape))
        joined[place] = array
    return joined
