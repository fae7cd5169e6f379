"""The rows of a collated batch: how many there are, how many are new, whose they are; some as a batch of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import Trainer

from hf_ext.models.schema import IGNORED_LABEL

FLAT_INDICES = "masked_positions"  # of the whole batch; models find them again in the labels


def count_rows(batch: Mapping[str, Any]) -> int:
    """Give the number of rows, which is the first dimension of the first tensor that has one; 0 without any."""
    return next((value.shape[0] for value in batch.values() if isinstance(value, Tensor) and value.dim() > 0), 0)


def count_new_rows(accelerator: Accelerator, rows: int) -> int | None:
    """Count this process's rows of the running batch that are new: the last one is filled up with earlier rows.

    Args:
        accelerator: What shares the batches out.
        rows: Rows of the batch on this process.

    Returns:
        None where no process has a repeated row.
    """
    state, processes = accelerator.gradient_state, accelerator.num_processes
    if processes == 1 or not state.end_of_dataloader or state.remainder <= 0 or state.remainder >= rows * processes:
        return None
    return min(max(state.remainder - accelerator.process_index * rows, 0), rows)


def shares_rows(trainer: Trainer) -> bool:
    """Tell whether several processes work on the same rows (tensor, context or sequence parallel)."""
    return trainer.get_tp_size() * trainer.get_cp_size() * trainer.get_sp_size() > 1


def has_labels(batch: Mapping[str, Any]) -> bool:
    """Tell whether a batch has anything to learn from; True where labels are not one tensor of indices."""
    labels = batch.get("labels")
    return not isinstance(labels, Tensor) or labels.is_floating_point() or bool(labels.ne(IGNORED_LABEL).any())


def spread_rows(total: int, count: int, device: torch.device) -> Tensor:
    """Choose ``count`` of ``total`` rows at even distances: a batch may be sorted, by length for one.

    Returns:
        Row numbers from 0, shape ``(count,)``.
    """
    return torch.arange(count, device=device) * total // count


def take_rows(batch: Mapping[str, Any], kept: slice | Tensor) -> dict[str, Any]:
    """Cut every tensor with one entry a row to the rows that are kept; the rest stays as it is.

    ``masked_positions`` is left out: flat indices of the whole batch say nothing about a part of it.
    """
    rows = count_rows(batch)

    def cut(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == rows:
            return value[kept]
        if isinstance(value, Mapping):
            return {name: cut(inner) for name, inner in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(cut(inner) for inner in value)
        return value

    return {name: cut(value) for name, value in batch.items() if name != FLAT_INDICES}
