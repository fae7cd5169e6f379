"""A Trainer whose gradient does not depend on how the batch is cut up."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import unwrap_peft_model

from hf_ext.training.callbacks import callbacks_from
from hf_ext.training.compat import require_known_trainer

logger = logging.getLogger(__name__)

TRAINING_ARGS_JSON = "training_args.json"

# What a probe found, ordered so that the largest verdict of all processes wins.
UNDECIDED, IGNORES_COUNT, USES_COUNT = 0, 1, 2


class ExtTrainer(Trainer):
    """Train with a truthful loss scale, our callbacks, and no pickle in the model folder.

    **Loss scale.** Trainer takes a bare ``**kwargs`` in ``forward`` for a promise to divide the loss by
    ``num_items_in_batch``. Most stock heads do not keep it, and then train with gradient x accumulation steps x
    processes (transformers issue 47688). At the first batch with labels we ask the loss itself: computed twice without
    gradient, for ``n`` and ``2n`` items, does it change? If not, Trainer is told that it gets a plain mean
    (``accepts_loss_kwargs = False``). A class that names ``num_items_in_batch`` in ``forward`` and says
    ``accepts_loss_kwargs = True`` is trusted; a ``compute_loss_func`` is asked like a head. A loss that gives no
    answer (zero or not finite) is treated as a mean, which is right for equal micro-batches whatever the head does.

    Takes the arguments of ``transformers.Trainer``.
    """

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | None = None,
        args: TrainingArguments | None = None,
        *rest: Any,
        **kwargs: Any,
    ) -> None:
        require_known_trainer()
        bound = inspect.signature(Trainer.__init__).bind(self, model, args, *rest, **kwargs)
        own = callbacks_from(args) if args is not None else []
        # in the constructor, not by add_callback: only then is their state part of the checkpoints
        bound.arguments["callbacks"] = own + list(bound.arguments.get("callbacks") or [])
        super().__init__(*bound.args[1:], **bound.kwargs)
        self._loss_scale_settled = False
        self._check_label_smoothing()

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, Tensor | int | None]:
        """Fetch the micro-batches of one optimizer step; the first of them settles the loss scale."""
        batches, num_items_in_batch = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            self._settle_loss_scale(batches[0])
        if not self.model_accepts_loss_kwargs and self.compute_loss_func is None:
            num_items_in_batch = None
        return batches, num_items_in_batch

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Predict one batch; without training before, its labels settle the scale of the evaluation loss."""
        self._settle_loss_scale(inputs)
        return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        """Keep the order of the rows: grouped by length, transformers 5.23 returns predictions in another one."""
        strategy = self.args.train_sampling_strategy
        self.args.train_sampling_strategy = "random"
        try:
            return super()._get_eval_sampler(eval_dataset)
        finally:
            self.args.train_sampling_strategy = strategy

    def _settle_loss_scale(self, batch: Mapping[str, Any]) -> None:
        """Find out once whether the loss divides by the number of items, and tell Trainer the truth."""
        if self._loss_scale_settled or "labels" not in batch:
            return
        self._loss_scale_settled = True
        if self._scale_is_known():
            return
        verdict = torch.tensor([self._probe_loss(batch)], device=self.args.device)
        if int(self.accelerator.gather(verdict).max()) != USES_COUNT:  # one answer for all processes
            self._declare_plain_mean()

    def _scale_is_known(self) -> bool:
        if self.loss_is_scaled_for_ga is not None:
            return True
        if self.compute_loss_func is not None:
            return False
        return not self.model_accepts_loss_kwargs or keeps_loss_promise(self._bare_model())

    def _probe_loss(self, batch: Mapping[str, Any]) -> int:
        """Compare the loss for n and 2n items, leaving module modes and random states as they were."""
        model = cast(nn.Module, self.model)
        inputs = self._prepare_inputs(dict(batch))
        count = inputs["labels"].numel()
        modes = [(module, module.training) for module in model.modules()]
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        model.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices), self.compute_loss_context_manager():
                once, twice = (self._loss_for(model, inputs, items) for items in (count, 2 * count))
        finally:
            for module, training in modes:
                module.training = training
        if not torch.isfinite(once) or once == 0:
            return UNDECIDED
        return IGNORES_COUNT if torch.isclose(once, twice, rtol=1e-3, atol=0.0) else USES_COUNT

    def _loss_for(self, model: nn.Module, inputs: dict[str, Any], items: int) -> Tensor:
        count = torch.tensor(items, device=self.args.device)
        loss = self.compute_loss(model, dict(inputs), num_items_in_batch=count)  # a copy: labels may be popped
        return cast(Tensor, loss).float().mean()

    def _declare_plain_mean(self) -> None:
        """Make Trainer divide by the accumulation steps and leave the mean over processes to the all-reduce."""
        logger.info("The loss is a plain mean (num_items_in_batch is not used); Trainer scales it accordingly.")
        self._bare_model().accepts_loss_kwargs = False
        self.model_accepts_loss_kwargs = False
        if self.compute_loss_func is not None:
            self.loss_is_scaled_for_ga = False
            self.args.average_tokens_across_devices = False

    def _bare_model(self) -> Any:
        return unwrap_peft_model(self.accelerator.unwrap_model(self.model))

    def _check_label_smoothing(self) -> None:
        problem_type = getattr(getattr(self.model, "config", None), "problem_type", None)
        if self.args.label_smoothing_factor and problem_type not in (None, "single_label_classification"):
            raise ValueError(f"--label_smoothing_factor needs one label a row; leave it out for {problem_type}.")

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Save as Trainer does, with the arguments as JSON instead of a pickle that holds the Hub token."""
        super()._save(output_dir, state_dict)
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir or ".")
        (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)
        temporary = folder / f".{TRAINING_ARGS_JSON}.tmp"
        temporary.write_text(self.args.to_json_string() + "\n", encoding="utf-8")
        os.replace(temporary, folder / TRAINING_ARGS_JSON)


def keeps_loss_promise(model: nn.Module) -> bool:
    """Whether a model says by name that it divides its loss by ``num_items_in_batch``."""
    named = "num_items_in_batch" in inspect.signature(model.forward).parameters
    return named and getattr(model, "accepts_loss_kwargs", None) is True
