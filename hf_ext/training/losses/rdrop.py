"""R-Drop: two dropout passes of a row shall agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.training.losses.divergence import symmetric_divergence
from hf_ext.training.losses.item_loss import read_logits
from hf_ext.training.losses.problem_types import problem_type_of
from hf_ext.training.losses.row_count import NUM_ROWS
from hf_ext.training.losses.scale import LossScale, bare_model
from hf_ext.training.watch.batch_rows import FLAT_INDICES, count_rows


class RDrop:
    """Penalise how far two dropout passes of the same rows lie apart (Liang et al., 2021, arXiv:2106.14448, eq. 4).

    Every batch goes in twice, as one batch of 2B rows, and the objective is, in means over the items::

        1/2 (L_1 + L_2) + alpha * 1/2 * 1/2 (KL(p_1 || p_2) + KL(p_2 || p_1))

    That is half of the paper's, so that alpha = 0 is plain training and alpha means what it means there. Items are the
    labels other than -100; of a CRF model the emissions are compared; of several labels the Bernoulli distributions, of
    a regression the predictions, by their squared difference. Evaluation is untouched.

    When: little data and much time: a step takes twice as long. Needs dropout.

    Args:
        alpha: Weight of the divergence.
        trainer: Whose loss it belongs to.
        loss_scale: How that loss is scaled.

    Raises:
        ValueError: Together with ``--adversarial_fraction``, whose part of the batch has no pairs.
    """

    def __init__(self, alpha: float, trainer: Trainer, loss_scale: LossScale) -> None:
        if (
            getattr(trainer.args, "adversarial", "none") != "none"
            and getattr(trainer.args, "adversarial_fraction", 1) < 1
        ):
            raise ValueError("--rdrop_alpha compares pairs of rows, which --adversarial_fraction tears; leave one out.")
        self.alpha = alpha
        self.trainer = trainer
        self.loss_scale = loss_scale

    def double(
        self, inputs: Mapping[str, Any], num_items_in_batch: Tensor | int | None
    ) -> tuple[dict[str, Any], Tensor | int | None]:
        """Give the batch with all its rows once more below, and the number of items twice."""
        rows = count_rows(inputs)
        doubled = {name: _twice(value, rows) for name, value in inputs.items() if name != FLAT_INDICES}
        if NUM_ROWS in doubled:
            doubled[NUM_ROWS] = 2 * inputs[NUM_ROWS]
        return doubled, None if num_items_in_batch is None else 2 * num_items_in_batch

    def penalty(self, outputs: Any, labels: Tensor | None, num_items_in_batch: Tensor | int | None) -> Tensor:
        """Compute the weighted divergence of a doubled batch, in the scale that Trainer expects of the loss.

        Args:
            outputs: Of the model, with ``logits``.
            labels: Of the doubled batch.
            num_items_in_batch: The doubled number of items of the optimizer step, if the loss is divided by it.
        """
        if labels is None:
            raise ValueError("--rdrop_alpha needs labels, and this batch has none.")
        logits, problem_type = read_logits(outputs), problem_type_of(bare_model(self.trainer), labels)
        counted = labels != IGNORED_LABEL
        if labels.dim() == logits.dim():  # several numbers a row: leave single ones out
            logits = logits.masked_fill(~counted.reshape(logits.shape), 0.0)
        first, second = logits.chunk(2)
        each = symmetric_divergence(first, second, problem_type)  # (B,) or (B, T)
        if labels.shape[: each.dim()] != (2 * each.shape[0], *each.shape[1:]):
            raise ValueError(f"--rdrop_alpha: labels {tuple(labels.shape)} do not fit logits {tuple(logits.shape)}.")
        if labels.dim() < logits.dim():
            each = each.masked_fill(~counted.chunk(2)[0], 0.0)
        return self.alpha * self._scale(each.sum(), counted.sum(), num_items_in_batch)

    def _scale(self, total: Tensor, items_here: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
        """Divide as the loss is divided, whose 2B rows give the factor 1/2."""
        trainer = self.trainer
        if num_items_in_batch is None or not self.loss_scale.divides_by_items(num_items_in_batch):
            return total / items_here.clamp_min(1)
        if isinstance(num_items_in_batch, Tensor):
            num_items_in_batch = num_items_in_batch.to(total.device)
        share = total / (num_items_in_batch + (num_items_in_batch == 0))
        if trainer.args.average_tokens_across_devices:  # as Trainer.compute_loss scales its loss
            share = share * (trainer.accelerator.num_processes // trainer.get_tp_size())
        return share


def build_rdrop(trainer: Trainer, loss_scale: LossScale) -> RDrop | None:
    """Build what ``--rdrop_alpha`` asks for; None for 0 and for plain ``TrainingArguments``."""
    alpha = getattr(trainer.args, "rdrop_alpha", 0.0)
    return RDrop(alpha, trainer, loss_scale) if alpha else None


def _twice(value: Any, rows: int) -> Any:
    """Repeat whatever has one entry a row."""
    if isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == rows:
        return torch.cat([value, value])
    if isinstance(value, Mapping):
        return {name: _twice(inner, rows) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_twice(inner, rows) for inner in value)
    return value
