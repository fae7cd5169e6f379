"""Losses that are means over items, whatever the batch was cut out of."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .schema import IGNORED_LABEL


def mean_cross_entropy(scores: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Sum the cross entropy of the items in float32 or float64, and divide by their number.

    Args:
        scores: One row an item, shape ``(N, L)``.
        labels: Label ids, -100 for items that do not count, shape ``(N,)``.
        num_items_in_batch: The divisor; if missing, the number of labels here. Without any the loss is 0.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    total = functional.cross_entropy(scores, labels, ignore_index=IGNORED_LABEL, reduction="sum")
    return divide_by_items(total, labels, num_items_in_batch)


def divide_by_items(total: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
    """Divide a summed loss by the number of items, 0 where there is none.

    Args:
        total: The sum over the items of this batch.
        labels: Labels of any shape; those other than -100 are items.
        num_items_in_batch: The divisor; if missing, the number of items here.
    """
    items = (labels != IGNORED_LABEL).sum() if num_items_in_batch is None else num_items_in_batch
    if isinstance(items, Tensor):
        items = items.to(total.device)
    return total / (items + (items == 0))
