"""What a mean loss is a mean over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import Trainer

from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.training.watch.batch_rows import count_rows


def count_items(trainer: Trainer, inputs: Mapping[str, Any]) -> Tensor | int:
    """Count the items of a batch.

    They are labels other than -100 (those of the next token where a model shifts them), all numbers of float labels,
    rows where there are no labels. With several label names the first counts.
    """
    names = trainer.label_names
    labels = inputs.get(names[0]) if names else None
    if not isinstance(labels, Tensor):
        return count_rows(inputs)
    if labels.is_floating_point():
        return labels.numel()
    if trainer._loss_shifts_labels and names[0] == "labels":
        labels = inputs.get("shift_labels", labels[..., 1:])
    return labels.ne(IGNORED_LABEL).sum()
