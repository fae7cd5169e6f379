"""TrainingArguments with the guards and defaults that a fine-tuning run wants."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import IntervalStrategy, get_last_checkpoint

from hf_ext.errors import UserError
from hf_ext.training.argument_groups import (
    ARGUMENT_GROUPS,
    AdversarialArguments,
    LossArguments,
    OptimizationArguments,
    RegularizationArguments,
    RunArguments,
)
from hf_ext.training.averages.checkpoint_choice import check_averaging
from hf_ext.training.averages.ema import check_ema
from hf_ext.training.batching.arguments import BatchingArguments, settle_length_strategy
from hf_ext.training.choosing_arguments import ChoosingArguments
from hf_ext.training.hub_arguments import HubArguments, settle_hub
from hf_ext.training.idle_flags import warn_of_idle_flags
from hf_ext.training.lora_arguments import LoraArguments
from hf_ext.training.optimization.groups import settle_min_lr
from hf_ext.training.precision import PrecisionArguments, settle_precision
from hf_ext.training.tuning.arguments import TuningArguments

SMALLER_IS_BETTER = frozenset({"mse", "mae", "rmse", "perplexity"})

WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


@dataclass(repr=False)  # a generated repr would print the Hub token, which the parent's hides
class ExtTrainingArguments(
    RunArguments,
    BatchingArguments,
    PrecisionArguments,
    AdversarialArguments,
    OptimizationArguments,
    LossArguments,
    RegularizationArguments,
    LoraArguments,
    ChoosingArguments,
    TuningArguments,
    HubArguments,
    TrainingArguments,
):
    """How a run is trained: transformers' arguments, and the groups of ours in ``argument_groups``.

    Defaults that differ from the parent:

    - ``restore_callback_states_from_checkpoint`` is True: a resumed run keeps its early-stopping patience.
    - ``logging_nan_inf_filter`` is False: a NaN loss is shown as NaN (the parent reports 0.0 and trains on).
    - ``hub_strategy`` is ``end``: the parent's uploads during training contain a pickle with the Hub token.
    - ``hub_private_repo`` becomes True where it is unset and something is pushed.
    - ``ddp_timeout`` is 300 seconds (the parent's is 1800) and holds on CPUs too, where the parent waits half an hour
      whatever it says. What takes longer in one process, such as tokenising, is waited for apart from it.
    - ``greater_is_better`` is also False for ``mse``, ``mae``, ``rmse`` and ``perplexity`` when unset.
    - ``metric_for_best_model`` is ``loss`` when only ``early_stopping_patience`` is given.
    - ``use_cpu`` becomes True on a machine without an accelerator. Without it the parent refuses bf16 there, and
      several processes would each train a model of their own, unaware of one another.
    """

    def __post_init__(self) -> None:
        for group in ARGUMENT_GROUPS:
            group.__post_init__(self)
        self._check_numbers()
        self._check_counts()
        self._check_what_is_asked()
        warn_of_idle_flags(self)
        self._settle_device()
        settle_precision(self)
        self._settle_resume()
        if self.early_stopping_patience is not None and self.metric_for_best_model is None:
            self.metric_for_best_model = "loss"
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = greater_is_better(self.metric_for_best_model)
        settle_min_lr(self)
        self._connect_processes()
        TrainingArguments.__post_init__(self)  # by name: the groups stand before it and were asked above
        check_averaging(self)
        check_ema(self)
        settle_length_strategy(self)
        if self.early_stopping_patience is not None and self.eval_strategy == IntervalStrategy.NO:
            raise ValueError("--early_stopping_patience needs evaluations: add --eval_strategy epoch (or steps).")
        settle_hub(self)

    def _check_what_is_asked(self) -> None:
        """Refuse values out of range, and flags that would quietly do nothing."""
        if self.max_steps <= 0 and self.num_train_epochs <= 0:
            raise ValueError(f"--num_train_epochs must be positive, got {self.num_train_epochs}.")
        for name in ("seed", "data_seed"):
            seed = getattr(self, name)
            if seed is not None and not 0 <= seed < 2**32:
                raise ValueError(f"--{name} must be from 0 to 2**32 - 1, got {seed}.")
        if self.dataloader_num_workers < 0:
            raise ValueError(f"--dataloader_num_workers must not be negative, got {self.dataloader_num_workers}.")
        if self.learning_rate < 0:
            raise ValueError(f"--learning_rate must not be negative, got {self.learning_rate}.")
        if self.load_best_model_at_end and IntervalStrategy.NO in (self.eval_strategy, self.save_strategy):
            raise ValueError(
                "--load_best_model_at_end needs evaluations and checkpoints to choose from: add --eval_strategy epoch "
                "--save_strategy epoch."
            )
        if self.prediction_loss_only and self.do_predict:
            raise ValueError("--prediction_loss_only leaves nothing to write for --do_predict; leave one of them out.")
        if self.adversarial != "none" and self.max_steps <= 0 and 1 <= self.num_train_epochs <= self.adversarial_start:
            raise ValueError(
                f"--adversarial_start {self.adversarial_start:g} is not before the end of --num_train_epochs "
                f"{self.num_train_epochs:g}; below 1 it is a fraction of the training."
            )
        if self.eval_all_checkpoints and not self.do_eval and self.eval_strategy == IntervalStrategy.NO:
            raise ValueError("--eval_all_checkpoints needs --do_eval.")
        for name in ("tune_thresholds", "calibrate"):
            if getattr(self, name) and not self.do_eval:
                raise ValueError(f"--{name} looks at the validation rows: add --do_eval.")

    def _check_numbers(self) -> None:
        """Refuse nan and inf, which a command line takes for numbers, and what torch would take without a word."""
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and name != "max_grad_norm")):
                raise ValueError(f"--{name} must be a finite number, got {value}.")
        if self.weight_decay < 0:
            raise ValueError(f"--weight_decay must not be negative, got {self.weight_decay}.")
        if not 0 <= self.label_smoothing_factor <= 1:
            raise ValueError(f"--label_smoothing_factor must be from 0 to 1, got {self.label_smoothing_factor}.")

    def _check_counts(self) -> None:
        for name in ("gradient_accumulation_steps", "per_device_train_batch_size", "per_device_eval_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, got {getattr(self, name)}.")

    def _settle_resume(self) -> None:
        """Read ``true``, ``last`` and ``false``, which a command line can only say as text."""
        word = str(self.resume_from_checkpoint).lower()
        if word in ("true", "last"):
            self.resume_from_checkpoint = True  # type: ignore[assignment]
        elif word in ("false", "none", ""):
            self.resume_from_checkpoint = None

    def _settle_device(self) -> None:
        if not torch.accelerator.is_available():
            self.use_cpu = True

    def _connect_processes(self) -> None:
        """Form the group of processes on CPUs with our timeout; the parent finds it and forms none."""
        if self.use_cpu:
            PartialState(cpu=True, backend=self.ddp_backend, timeout=timedelta(seconds=self.ddp_timeout))


def check_output_dir(args: ExtTrainingArguments) -> None:
    """Refuse a folder that cannot be written, and to train over an earlier run's checkpoints or model.

    An earlier run is no obstacle when this one does not train, resumes, or has leave to overwrite.

    Raises:
        UserError: If the output folder is a file or write-protected, holds ``checkpoint-*`` folders or model weights,
            or there is no checkpoint to resume from.
    """
    folder = Path(args.output_dir or ".")
    _check_writable(folder)
    if not args.do_train:
        return
    if args.resume_from_checkpoint:
        if not args.resume_or_start:
            _check_resume(args.resume_from_checkpoint, folder)
        return
    found = next((path for pattern in ("checkpoint-*", *WEIGHT_FILES) for path in sorted(folder.glob(pattern))), None)
    if found is not None and not args.overwrite_output_dir:
        raise UserError(
            f"the output folder already holds {found.name}",
            where=str(folder),
            fix="continue it with --resume_from_checkpoint, replace it with --overwrite_output_dir, "
            "or name another --output_dir",
        )


def _check_writable(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        what = "cannot be written to" if existing.is_dir() else "is a file, not a folder"
        raise UserError(what, where=str(existing), fix="name another --output_dir")


def _check_resume(checkpoint: str | bool, folder: Path) -> None:
    if checkpoint is True:
        if not (folder.is_dir() and get_last_checkpoint(str(folder))):
            raise UserError(
                "no checkpoint to resume from",
                where=str(folder),
                fix="leave out --resume_from_checkpoint to start anew",
            )
    elif not (Path(str(checkpoint)) / TRAINER_STATE_NAME).is_file():
        raise UserError(
            f"not a checkpoint (no {TRAINER_STATE_NAME})",
            where=str(checkpoint),
            fix="give --resume_from_checkpoint a checkpoint-N folder, or true for the last one in --output_dir",
        )


def greater_is_better(metric: str) -> bool:
    """Tell whether more of a metric is better, which it is not of losses and errors."""
    name = metric.removeprefix("eval_")
    return name not in SMALLER_IS_BETTER and not name.endswith("loss")
