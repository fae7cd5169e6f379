"""Callbacks that our arguments switch on."""

from __future__ import annotations

import math
from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training.arguments import ExtTrainingArguments


class NonFiniteLossCallback(TrainerCallback):
    """Stop the run at the first logged training loss that is NaN or infinite.

    The logged loss is the mean over all processes, so every process stops at the same step. A fault is seen at
    the next log (``logging_steps`` optimizer steps), before anything else happens at that step.
    """

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at ``loss`` (while training) and ``train_loss`` (at the end) in what is being logged.

        Raises:
            UserError: If one of them is not finite.
        """
        for name in ("loss", "train_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise UserError(
                    f"the training loss is {value} at step {state.global_step}",
                    fix="lower --learning_rate, look for extreme numbers in the data, or train without fp16 "
                    "(--stop_on_nonfinite_loss False trains on)",
                )


def callbacks_from(args: TrainingArguments) -> list[TrainerCallback]:
    """Build the callbacks that the arguments ask for; plain TrainingArguments ask for none."""
    callbacks: list[TrainerCallback] = []
    if not isinstance(args, ExtTrainingArguments):
        return callbacks
    if args.stop_on_nonfinite_loss:
        callbacks.append(NonFiniteLossCallback())
    if args.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(args.early_stopping_patience, args.early_stopping_threshold))
    return callbacks
