"""Does a loss divide by the number of items, as Trainer believes? Ask it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_utils import unwrap_peft_model

logger = logging.getLogger(__name__)

# What a probe found, ordered so that the largest verdict of all processes wins.
UNDECIDED, IGNORES_COUNT, USES_COUNT = 0, 1, 2


class LossScale:
    """Tell a Trainer the truth about the scale of its loss, once, at the first batch with labels.

    Trainer takes a bare ``**kwargs`` in ``forward`` for a promise to divide the loss by ``num_items_in_batch``. Most
    stock heads do not keep it, and then train with gradient x accumulation steps x processes (transformers issue
    47688). We ask the loss itself: computed twice without gradient, for ``n`` and ``2n`` items, does it change? If
    not, Trainer is told that it gets a plain mean (``accepts_loss_kwargs = False``). A class that names
    ``num_items_in_batch`` in ``forward`` and says ``accepts_loss_kwargs = True`` is trusted; a ``compute_loss_func``
    is asked like a head. A loss that gives no answer (zero or not finite) is treated as a mean, which is right for
    equal micro-batches whatever the head does.

    Args:
        trainer: Whose loss it is.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.settled = False

    def settle(self, batch: Mapping[str, Any]) -> None:
        """Find out with this batch, unless it is known or the batch has no labels."""
        if self.settled or "labels" not in batch:
            return
        self.settled = True
        if self._is_known():
            return
        trainer = self.trainer
        verdict = torch.tensor([self._probe(batch)], device=trainer.args.device)
        if int(trainer.accelerator.gather(verdict).max()) != USES_COUNT:  # one answer for all processes
            self._declare_plain_mean()

    def divides_by_items(self, num_items_in_batch: Any) -> bool:
        """Whether Trainer takes the loss as divided by the items of the whole optimizer step already."""
        trainer = self.trainer
        if trainer.loss_is_scaled_for_ga is not None:
            return trainer.loss_is_scaled_for_ga
        return trainer.compute_loss_func is not None or (
            trainer.model_accepts_loss_kwargs and num_items_in_batch is not None
        )

    def _is_known(self) -> bool:
        trainer = self.trainer
        if trainer.loss_is_scaled_for_ga is not None:
            return True
        if trainer.compute_loss_func is not None:
            return getattr(trainer.compute_loss_func, "divides_by_items", False)  # ours say so
        return not trainer.model_accepts_loss_kwargs or keeps_loss_promise(bare_model(trainer))

    def _probe(self, batch: Mapping[str, Any]) -> int:
        """Compare the loss for n and 2n items, leaving module modes and random states as they were."""
        trainer = self.trainer
        model = cast(nn.Module, trainer.model)
        inputs = trainer._prepare_inputs(dict(batch))
        count = inputs["labels"].numel()
        modes = [(module, module.training) for module in model.modules()]
        devices = [trainer.args.device] if trainer.args.device.type == "cuda" else []
        model.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices), trainer.compute_loss_context_manager():
                once, twice = (self._loss_for(model, inputs, items) for items in (count, 2 * count))
        finally:
            for module, training in modes:
                module.training = training
        if not torch.isfinite(once) or once == 0:
            return UNDECIDED
        return IGNORES_COUNT if torch.isclose(once, twice, rtol=1e-3, atol=0.0) else USES_COUNT

    def _loss_for(self, model: nn.Module, inputs: dict[str, Any], items: int) -> Tensor:
        count = torch.tensor(items, device=self.trainer.args.device)
        loss = self.trainer.compute_loss(model, dict(inputs), num_items_in_batch=count)  # a copy: labels may be popped
        return cast(Tensor, loss).float().mean()

    def _declare_plain_mean(self) -> None:
        """Make Trainer divide by the accumulation steps and leave the mean over processes to the all-reduce."""
        logger.info("The loss is a plain mean (num_items_in_batch is not used); Trainer scales it accordingly.")
        trainer = self.trainer
        bare_model(trainer).accepts_loss_kwargs = False
        trainer.model_accepts_loss_kwargs = False
        if trainer.compute_loss_func is not None:
            trainer.loss_is_scaled_for_ga = False
            trainer.args.average_tokens_across_devices = False


def bare_model(trainer: Trainer) -> Any:
    """Give the model without what processes, compilation or an adapter wrapped around it."""
    return unwrap_peft_model(trainer.accelerator.unwrap_model(trainer.model))


def keeps_loss_promise(model: nn.Module) -> bool:
    """Whether a model says by name that it divides its loss by ``num_items_in_batch``."""
    forward: Callable = model.forward
    named = "num_items_in_batch" in inspect.signature(forward).parameters
    return named and getattr(model, "accepts_loss_kwargs", None) is True
