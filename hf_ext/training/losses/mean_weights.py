"""Means of uneven micro-batches, joined to the mean of the optimizer step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from hf_ext.training.losses.scale import LossScale
from hf_ext.training.watch.batch_rows import count_rows
from hf_ext.training.watch.item_count import count_items


class MeanWeights:
    """Let the mean loss of a micro-batch count by its items, where the loss ignores ``num_items_in_batch``.

    Trainer divides such a loss by the number ``k`` of micro-batches, and the processes ``p`` are averaged: a
    micro-batch of few items counts as much as a full one. With ``n_b`` items in micro-batch ``b`` and ``N`` in all of
    them, on all processes, its mean is multiplied by ``n_b k p / N``, so that the step has the gradient of the mean
    over its items::

        1 / (k p) * sum_b (n_b k p / N) mean_b = 1 / N * sum_b n_b mean_b

    Items are those of ``count_items``. A micro-batch without items counts nothing. An attack's own loss is a mean over
    rows and counts by them. Losses that divide by the items of the step are right already and stay as they are.

    Args:
        trainer: Whose losses they are.
        loss_scale: Tells which kind they are.
    """

    def __init__(self, trainer: Trainer, loss_scale: LossScale) -> None:
        self.trainer = trainer
        self.loss_scale = loss_scale
        self._batches: Sequence[Mapping[str, Any]] = ()
        self._weights = torch.zeros(0, 2)  # of each batch: by items, by rows
        self._current: Tensor | None = None

    def prepare(self, batches: Sequence[Mapping[str, Any]], num_items_in_batch: Any) -> None:
        """Weigh the micro-batches of the next optimizer step; a stream that has ended gives none."""
        trainer, processes = self.trainer, self.trainer.accelerator.num_processes
        self._batches, self._current = (), None
        if not batches or len(batches) * processes == 1 or self.loss_scale.divides_by_items(num_items_in_batch):
            return
        device = trainer.args.device
        pairs = [(count_items(trainer, batch), count_rows(batch)) for batch in batches]
        counts = torch.stack([torch.as_tensor(count, device=device) for pair in pairs for count in pair])
        counts = counts.to(torch.float32 if device.type == "mps" else torch.float64).view(-1, 2)
        total = counts.sum(0)
        if processes > 1:
            total = trainer.accelerator.reduce(total, "sum")
        self._batches, self._weights = batches, counts * (len(batches) * processes) / total

    def begin_micro_batch(self, inputs: Mapping[str, Any]) -> None:
        """Say which of the prepared micro-batches is trained on; all passes until the next call are over its rows.

        It is known by its tensors, so that a step may come to it more than once.
        """
        places = (i for i, batch in enumerate(self._batches) if _share_a_tensor(batch, inputs))
        place = next(places, None)
        self._current = None if place is None else self._weights[place]

    def weigh(self, loss: Tensor, *, by_rows: bool) -> Tensor:
        """Let a mean count by its items, or by its rows."""
        if self._current is None:
            return loss
        weight = self._current[int(by_rows)].to(loss.dtype)
        return torch.where(weight == 0, torch.zeros_like(loss), loss * weight)  # the mean over nothing is NaN


def _share_a_tensor(batch: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Tensor) and inputs.get(name) is value for name, value in batch.items())
