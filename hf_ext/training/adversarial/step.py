"""One training step under attack: several passes of Trainer's own step, of which the last exchanges gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from hf_ext.training.adversarial.attack import Attack
from hf_ext.training.adversarial.gradient_sync import RandomState, frozen_parameters, local_backward
from hf_ext.training.adversarial.methods import check_surroundings, is_due
from hf_ext.training.losses.problem_types import problem_type_of
from hf_ext.training.losses.scale import LossScale, bare_model
from hf_ext.training.watch.batch_rows import count_rows, has_labels, spread_rows, take_rows

Step = Callable[[nn.Module, dict[str, Any], Any], Tensor]


class AdversarialStep:
    """Run an attack's passes for a trainer.

    Every pass is a whole call of Trainer's ``training_step``, so that autocast, gradient scaling, accumulation and
    the loss scale are Trainer's in each of them. All but the last stay in this process (no all-reduce); passes that
    only the perturbation learns from compute no parameter gradients.

    Args:
        attack: What moves from pass to pass.
        trainer: Whose step it is.
        loss_scale: What is known about its loss.

    Raises:
        ValueError: If the trainer's surroundings do not allow several passes a step.
    """

    def __init__(self, attack: Attack, trainer: Trainer, loss_scale: LossScale) -> None:
        check_surroundings(attack, trainer)
        self.attack = attack
        self.trainer = trainer
        self.loss_scale = loss_scale
        self.same_dropout = attack.same_dropout or getattr(trainer.args, "adversarial_same_dropout", False)
        self.fraction: float = getattr(trainer.args, "adversarial_fraction", 1.0)
        self._running = False
        self._unlabelled = False
        self._weight = 1.0
        self._share: tuple[Any, Any] = (1, 1)
        self._rows_of_step: Tensor | int = 0

    def count_rows(self, batches: list[Mapping[str, Any]]) -> None:
        """Note how many rows this optimizer step has over all micro-batches and processes, for a loss over rows."""
        if not self.attack.has_own_loss:
            return
        copies = 2 if getattr(self.trainer.args, "rdrop_alpha", 0.0) else 1  # R-Drop doubles every batch
        rows = torch.tensor(copies * sum(count_rows(batch) for batch in batches), device=self.trainer.args.device)
        self._rows_of_step = self.trainer.accelerator.gather(rows).sum() if self.trainer.args.world_size > 1 else rows

    def run(self, step: Step, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any) -> Tensor:
        """Run one micro-batch, attacked if the attack is due.

        Args:
            step: Trainer's own ``training_step``.
            model: The wrapped model.
            inputs: The micro-batch.
            num_items_in_batch: As Trainer counted it.

        Returns:
            The loss of the first pass, which is the clean one: the logged loss stays comparable.
        """
        bare = bare_model(self.trainer)
        self.attack.install(bare)  # before the first step, attacked or not: a compiled model overlooks later hooks
        if not is_due(self.trainer.args, self.trainer.state):
            return step(model, inputs, num_items_in_batch)
        # looked at before the batch goes to the device, where looking would wait for it
        self._unlabelled = self.attack.has_own_loss and (inputs.get("labels") is None or not has_labels(inputs))
        inputs = self.trainer._prepare_inputs(inputs)
        try:
            self._running = True
            with self.attack.attached(bare, inputs):
                return self._run_passes(step, model, inputs, num_items_in_batch)
        finally:
            self._running, self._weight, self._share = False, 1.0, (1, 1)

    def _run_passes(self, step: Step, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any) -> Tensor:
        weights = self.attack.weights
        random_state = RandomState(self.trainer.args.device) if self.same_dropout else None
        kept = self._choose_rows(inputs)
        first = torch.zeros(())
        for number, weight in enumerate(weights):
            if number == 1 and kept is not None:
                if not self.loss_scale.divides_by_items(num_items_in_batch):
                    self._share = _share_of_items(inputs, kept)  # a mean over fewer rows must not count as over all
                inputs = take_rows(inputs, kept)
            if number > 0 and random_state is not None:
                random_state.restore()
            self._weight = weight or 1.0
            with ExitStack() as around:
                if number + 1 < len(weights):
                    around.enter_context(local_backward(self.trainer.accelerator, model))
                if not weight:
                    around.enter_context(frozen_parameters(model))
                loss = step(model, inputs, num_items_in_batch)
            if number == 0:
                first = loss / weight
            if number + 1 < len(weights):
                self.attack.advance(kept if number == 0 else None)
        return first

    def _choose_rows(self, inputs: dict[str, Any]) -> Tensor | None:
        """Choose the rows that are attacked; None for all."""
        total = count_rows(inputs)
        count = math.ceil(self.fraction * total)
        return spread_rows(total, count, self.trainer.args.device) if count < total else None

    def own_loss(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any) -> tuple[Tensor, Any] | None:
        """Give loss and outputs of a pass whose loss is the attack's own; None where it is the model's.

        The mean over all rows of the optimizer step, in whatever scale Trainer expects the model's loss.
        """
        if not self._running or not (self.attack.replaces_loss or self._unlabelled):
            return None
        outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
        problem_type = problem_type_of(bare_model(self.trainer))
        losses = self.attack.row_losses(outputs, problem_type)  # (B,)
        if not self.loss_scale.divides_by_items(num_items_in_batch):
            return losses.mean(), outputs
        return losses.sum() / self._rows_of_step * self.trainer.accelerator.num_processes, outputs

    def weigh(self, loss: Tensor, outputs: Any) -> Tensor:
        """Let a pass's loss count as the attack wants it to, and let the attack look at the outputs."""
        if not self._running:
            return loss
        if not self.attack.replaces_loss:
            self.attack.see(outputs)
        part, whole = self._share
        loss = loss * self._weight * part / whole
        # a mean over no label at all is NaN, and counts nothing
        return torch.where(part > 0, loss, 0.0) if isinstance(part, Tensor) else loss


def _share_of_items(inputs: Mapping[str, Any], kept: Tensor) -> tuple[Any, Any]:
    """Count the labels that the kept rows hold, and those of the whole batch."""
    labels = inputs.get("labels")
    if labels is None:
        return len(kept), count_rows(inputs)
    counted = labels.ne(-100)
    return counted[kept].sum(), counted.sum().clamp_min(1)
