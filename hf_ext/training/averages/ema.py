"""A moving average of the weights, evaluated and kept in their place."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training.argument_groups import RegularizationArguments

logger = logging.getLogger(__name__)

EMA_FILE = "ema.safetensors"


def decay_at(step: int, decay: float) -> float:
    """Give the decay of one optimizer step: small at first, so that a short run does not end at its first weights.

    Args:
        step: Optimizer steps done, this one included.
        decay: What it grows to.

    Returns:
        ``min(decay, (1 + step) / (10 + step))``; .999 is reached at step 8990.
    """
    return min(decay, (1 + step) / (10 + step))


class WeightAverage:
    """The exponential moving average of a model's trainable parameters, in float32 or finer.

    ``a_t = d_t a_(t-1) + (1 - d_t) w_t`` with ``a_0 = w_0``, where ``w_t`` are the weights after optimizer step t and
    ``d_t`` is ``decay_at(t, decay)``. Averaging goes back to Polyak and Juditsky (1992, Acceleration of Stochastic
    Approximation by Averaging); the growing decay is that of TensorFlow's ``ExponentialMovingAverage``. Tied weights
    are averaged once, frozen ones not at all; buffers (statistics of a BatchNorm) are used as the model has them.

    When: training is noisy (few rows, small batches, a high rate that does not fall to zero) or the last checkpoint
    is as good as chance made it. Costs one more copy of the trainable weights; with a rate that falls to zero the
    gain is small. To average what is on disk already see ``averaging``.

    Args:
        decay: How much of the average stays at each optimizer step, between 0 and 1.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.averages: dict[str, Tensor] = {}

    def start(self, model: nn.Module) -> None:
        """Begin anew at the weights as they are."""
        self.averages = {
            name: parameter.detach().to(torch.promote_types(parameter.dtype, torch.float32), copy=True)
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after an optimizer step.

        Args:
            model: Whose weights.
            step: Optimizer steps done, this one included.
        """
        averages = list(self.averages.values())
        if averages:
            weights = [weight.to(average.dtype) for weight, average in zip(self._weights(model), averages, strict=True)]
            get_ema_multi_avg_fn(decay_at(step, self.decay))(averages, weights, None)

    @torch.no_grad()
    def copy_into(self, model: nn.Module) -> None:
        """Give the model the averaged weights."""
        for weight, average in zip(self._weights(model), self.averages.values(), strict=True):
            weight.copy_(average)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Let the model have the averaged weights; afterwards its own are back, bit for bit.

        They are copied, never re-pointed: fused kernels and compiled graphs know weights by their place.
        """
        weights = self._weights(model)
        own = [weight.clone() for weight in weights]
        try:
            self.copy_into(model)
            yield
        finally:
            for weight, value in zip(weights, own, strict=True):
                weight.copy_(value)

    def save(self, folder: Path) -> None:
        """Write the average beside the weights of a checkpoint; a file is whole or not there."""
        temporary = folder / f".{EMA_FILE}.tmp"
        tensors = {name: average.contiguous() for name, average in self.averages.items()}
        save_file(tensors, temporary, metadata={"format": "pt"})
        os.replace(temporary, folder / EMA_FILE)

    def load(self, folder: Path, model: nn.Module) -> None:
        """Read the average that ``save`` wrote for the same model.

        Raises:
            UserError: If it is missing, cannot be read, or belongs to other weights.
        """
        self.start(model)
        try:
            found = load_file(folder / EMA_FILE)
        except FileNotFoundError:
            raise UserError(
                f"the checkpoint holds no {EMA_FILE}: it was written without --ema_decay",
                where=str(folder),
                fix="leave out --ema_decay, or start anew",
            ) from None
        except (OSError, SafetensorError) as error:
            raise UserError(f"{EMA_FILE} cannot be read ({error})", where=str(folder)) from error
        for name in sorted(found.keys() ^ self.averages.keys()):
            whose = "trained here but not" if name in self.averages else "not trained here but"
            raise UserError(
                f"{name} is {whose} averaged in {EMA_FILE}",
                where=str(folder),
                fix="resume with the model and the frozen layers that the run began with",
            )
        for name, average in self.averages.items():
            if found[name].shape != average.shape:
                shapes = f"{list(found[name].shape)} in {EMA_FILE} and {list(average.shape)} in the model"
                raise UserError(f"{name} is {shapes}", where=str(folder), fix="resume with the same model")
            average.copy_(found[name])

    def _weights(self, model: nn.Module) -> list[Tensor]:
        parameters = dict(model.named_parameters())
        return [parameters[name].detach() for name in self.averages]


class EmaCallback(TrainerCallback):
    """Keep a ``WeightAverage`` while training, and leave it in the model at the end.

    - A skipped optimizer step (overflow in fp16) is none for the average either.
    - With ``load_best_model_at_end`` the model ends with the average of the best checkpoint, otherwise with the last
      one. Which checkpoint is best is decided by what was evaluated: the average, unless ``ema_evaluate`` is off.
    - With ``ema_save`` off the model keeps its own weights, and ``average`` can still be had from here.

    Args:
        args: The run's ``ema_...`` arguments.
    """

    def __init__(self, args: RegularizationArguments) -> None:
        self.evaluates, self.stays = args.ema_evaluate, args.ema_save
        self.average = WeightAverage(cast(float, args.ema_decay))
        self.runs = False
        self._is_restored = False

    def restore(self, checkpoint: str, model: Any) -> None:
        """Go on with the average of a checkpoint."""
        self.average.load(Path(checkpoint), model)
        self._is_restored = True

    def stop(self) -> None:
        """Let evaluations see the model as it is again."""
        self.runs = self._is_restored = False

    @contextmanager
    def evaluating(self, model: Any) -> Iterator[None]:
        """Let an evaluation during training see the average, if it shall."""
        if self.runs and self.evaluates:
            with self.average.applied(model):
                yield
        else:
            yield

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin at the weights as they are, unless a checkpoint has been restored."""
        if not self._is_restored:
            self.average.start(kwargs["model"])
        self._is_restored, self.runs = False, True
        if args.load_best_model_at_end and self.evaluates != self.stays:
            scored, kept = ("averaged", "own") if self.evaluates else ("own", "averaged")
            logger.warning(
                "The best checkpoint is chosen by its %s weights, but its %s ones are kept; "
                "set --ema_evaluate and --ema_save alike.",
                scored,
                kept,
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Take in the weights of this optimizer step."""
        if not getattr(kwargs.get("optimizer"), "step_was_skipped", False):
            self.average.update(kwargs["model"], state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the average in the model, the best checkpoint's if that has been asked for."""
        self.stop()
        if not self.stays:
            return
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self.average.load(Path(state.best_model_checkpoint), kwargs["model"])
        self.average.copy_into(kwargs["model"])


def check_ema(args: Any) -> None:
    """Refuse training arguments with which the average would be wrong, or missing in the end.

    Args:
        args: Complete ``ExtTrainingArguments``.

    Raises:
        ValueError: Naming the flag to change.
    """
    if args.ema_decay is None:
        return
    if "schedule_free" in args.optim:
        raise ValueError(f"--optim {args.optim.value} averages the weights itself; leave it or --ema_decay out.")
    if args.load_best_model_at_end and args.ema_save and args.save_only_model:
        raise ValueError("--save_only_model writes no average that --load_best_model_at_end could load; leave it out.")


def build_ema(trainer: Trainer) -> EmaCallback | None:
    """Add the moving average to a trainer if its arguments ask for one.

    Raises:
        ValueError: If the weights are not whole in each process.
    """
    args = trainer.args
    if not isinstance(args, RegularizationArguments) or args.ema_decay is None:
        return None
    require_whole_weights(trainer, "--ema_decay")
    callback = EmaCallback(args)
    trainer.callback_handler.callbacks.insert(0, callback)  # the others shall see what it did
    return callback


def require_whole_weights(trainer: Trainer, flag: str) -> None:
    """Refuse to average weights of which a process has only a part.

    Raises:
        ValueError: Under FSDP, DeepSpeed, and for models that were sharded while loading.
    """
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    if sharded or getattr(trainer, "is_distributed_loading_by_transformers", False):
        raise ValueError(f"{flag} needs the whole weights in each process; leave it out with FSDP and DeepSpeed.")
