"""The evaluation loss, the same number for every batch size and every number of processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import Trainer

from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.training.watch.batch_rows import count_new_rows, count_rows, shares_rows, take_rows
from hf_ext.training.watch.item_count import count_items
from hf_ext.training.watch.named_losses import NamedLosses


class ExactLoss:
    """Average the loss over the items of an evaluation, each counted once.

    Trainer averages the mean losses of batches, a short last one like the others, and on several processes counts the
    rows that fill up the last batch twice. Here it is, over all batches ``b`` of all processes with ``n_b`` items::

        loss = sum_b n_b * mean_b / sum_b n_b

    Items are what the loss is a mean over, see ``count_items``. A batch without items (its mean is NaN) is left out.
    Sums are float64 and stay on the device until the end.

    On several processes the last batch is filled up with rows that came before. There, every process computes its loss
    once more on its rows that are new, or on one row that does not count, since a sharded model needs all processes.

    Losses that a model names (see ``NamedLosses``) are averaged each over its own items, and the loss is what the model
    makes of them. Any other loss that is no mean over its items (class weights inside of a model) is averaged as if it
    were one.

    Args:
        trainer: Whose evaluation it is.
        named: What its model says of its losses.
    """

    def __init__(self, trainer: Trainer, named: NamedLosses) -> None:
        self.trainer = trainer
        self.named = named
        self.is_measuring = False
        self._sums = torch.zeros(1, 2)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Begin a new evaluation; inside, each process's losses are the means of its own batches."""
        args = self.trainer.args
        device, across = args.device, args.average_tokens_across_devices
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._sums = torch.zeros(1 + len(self.named.labels), 2, dtype=dtype, device=device)
        self.is_measuring = not shares_rows(self.trainer)
        if self.is_measuring:
            args.average_tokens_across_devices = False  # else a loss is multiplied by the number of processes
        try:
            yield
        finally:
            self.is_measuring = False
            args.average_tokens_across_devices = across

    def add(self, model: nn.Module, inputs: Mapping[str, Any], loss: Tensor | None) -> None:
        """Count one batch of this process.

        Args:
            model: The wrapped model, in evaluation mode.
            inputs: The batch.
            loss: Its mean loss; None where it has no labels.
        """
        if not self.is_measuring or loss is None:
            return
        new = count_new_rows(self.trainer.accelerator, count_rows(inputs))
        if new is not None:
            inputs = take_rows(inputs, slice(max(new, 1)))
            loss = self._loss(model, inputs)
        means, items = [loss], [self._count(inputs)]
        for name, labels in self.named.labels.items():
            known = name in self.named.latest  # not where a function replaces the model's loss
            means.append(self.named.latest[name] if known else torch.zeros_like(loss))
            items.append(inputs[labels].ne(IGNORED_LABEL).sum() * known)
        self._sums += self._weighed(torch.stack(means), torch.stack([n.to(self._sums) for n in items]) * (new != 0))

    def write_into(self, metrics: dict[str, float] | None, prefix: str) -> None:
        """Replace Trainer's loss in the metrics, where it has one."""
        name = f"{prefix}_loss"
        if metrics is None or name not in metrics or shares_rows(self.trainer):
            return
        sums = self.trainer.accelerator.reduce(self._sums, "sum").tolist()
        means = [total / items if items else float("nan") for total, items in sums]
        metrics[name] = means[0]
        named = {part: mean for part, mean in zip(self.named.labels, means[1:], strict=True) if not math.isnan(mean)}
        if named:
            metrics |= {f"{prefix}_{part}": mean for part, mean in named.items()}
            metrics[name] = self.named.join({part: named.get(part, 0.0) for part in self.named.labels})

    def _weighed(self, means: Tensor, items: Tensor) -> Tensor:
        """Give sums and numbers of items, ``(losses, 2)``; zeros for a mean over nothing or, filtered, not finite."""
        counts = items > 0
        if self.trainer.args.logging_nan_inf_filter:
            counts = counts & torch.isfinite(means)
        both = torch.stack([means.to(items) * items, items], dim=1)
        return torch.where(counts.unsqueeze(1), both, 0.0)

    def _loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        trainer = self.trainer
        inputs = trainer._prepare_inputs(inputs)
        items = trainer._get_num_items_in_batch([inputs], trainer.args.device)
        with torch.no_grad(), trainer.compute_loss_context_manager():
            loss = cast(Tensor, trainer.compute_loss(model, inputs, num_items_in_batch=items))
        return loss.detach().mean()

    def _count(self, inputs: Mapping[str, Any]) -> Tensor:
        """Count the items as the loss does: if it divides by Trainer's number, that one."""
        trainer, like = self.trainer, self._sums
        counted = trainer._get_num_items_in_batch([inputs], trainer.args.device) if trainer.args.n_gpu <= 1 else None
        if counted is None:
            counted = count_items(trainer, inputs)
        return torch.as_tensor(counted, dtype=like.dtype, device=like.device)
