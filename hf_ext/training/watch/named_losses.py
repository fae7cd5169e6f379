"""The parts of a loss that a model gives by name, beside the loss in the log and in evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from hf_ext.training.losses.scale import LossScale, bare_model


class NamedLosses:
    """Note what a model says of its losses.

    A model with several says in ``named_losses`` which of its outputs are losses, and over which labels each is a mean:
    ``{"tag_loss": "labels", "sentence_loss": "sentence_labels"}``; ``join_losses`` puts them together. In training they
    are logged beside ``loss`` and on its scale: means over the optimizer steps since the last log and over the
    processes; of the clean pass only under an adversarial method. For evaluations see ``ExactLoss``.

    Args:
        trainer: Whose model it is; one without named losses changes nothing.
        loss_scale: How its loss is scaled.
    """

    def __init__(self, trainer: Trainer, loss_scale: LossScale) -> None:
        self.trainer = trainer
        self.loss_scale = loss_scale
        self.latest: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._awaits_clean_pass = False
        self._logged_step = 0

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that each named loss is a mean over."""
        return getattr(bare_model(self.trainer), "named_losses", {})

    def start_training(self) -> None:
        """Forget the run before."""
        self._sums = {}

    def start_step(self) -> None:
        """Begin a micro-batch, whose first pass is the one that counts."""
        self._awaits_clean_pass = True

    def see(self, outputs: Any, num_items_in_batch: Any, *, training: bool) -> None:
        """Read one forward pass.

        Args:
            outputs: Of the model.
            num_items_in_batch: As Trainer counted it.
            training: Whether it is a pass of a training step.
        """
        given = outputs if isinstance(outputs, Mapping) else {}
        self.latest = {name: given[name].detach().mean() for name in self.labels if name in given}
        if not self.latest or not training or not self._awaits_clean_pass:
            return
        self._awaits_clean_pass = False
        if not self._sums:
            self._logged_step = self.trainer.state.global_step
        scale = self._scale(num_items_in_batch)
        for name, loss in self.latest.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(loss)) + scale * loss

    def join(self, losses: Mapping[str, float]) -> float:
        """Put losses together as the model does."""
        return float(bare_model(self.trainer).join_losses(losses))

    def with_losses(self, logs: dict[str, float]) -> dict[str, float]:
        """Give what is logged, with the named losses where the training loss is; on all processes together."""
        if "loss" not in logs or not self._sums:
            return logs
        names = list(self._sums)
        steps = max(self.trainer.state.global_step - self._logged_step, 1)
        sums = torch.stack([self._sums[name] for name in names])
        means = self.trainer.accelerator.reduce(sums, "mean").div(steps).tolist()
        self._sums = {}
        found = dict(zip(names, means, strict=True))
        return {key: value for name in logs for key, value in _following(name, logs, found)}

    def _scale(self, num_items_in_batch: Any) -> float:
        """Scale as Trainer does the loss of a micro-batch."""
        trainer = self.trainer
        if not self.loss_scale.divides_by_items(num_items_in_batch):
            return 1 / trainer.current_gradient_accumulation_steps
        if num_items_in_batch is None or not trainer.args.average_tokens_across_devices:
            return 1.0
        return float(trainer.accelerator.num_processes // trainer.get_tp_size())


def _following(name: str, logs: Mapping[str, float], found: Mapping[str, float]) -> list[tuple[str, float]]:
    """Put the named losses behind ``loss``."""
    return [(name, logs[name]), *(found.items() if name == "loss" else ())]
