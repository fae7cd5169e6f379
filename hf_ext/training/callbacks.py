"""Callbacks that our arguments switch on."""

from __future__ import annotations

from typing import Any

from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hf_ext.training.arguments import ExtTrainingArguments
from hf_ext.training.watch.loss_watch import LossWatch
from hf_ext.training.watch.loss_window import LossWindow
from hf_ext.training.watch.progress import show_progress
from hf_ext.training.watch.stream_end import StreamEnd
from hf_ext.training.watch.train_log import TrainLog


class EarlyStopping(EarlyStoppingCallback):
    """Stop after ``early_stopping_patience`` evaluations without a better metric.

    A resumed run goes on counting where it was, but with the patience and the threshold of its own arguments: the
    parent takes those of the checkpoint, whatever the flags say now.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take patience and threshold from the arguments."""
        if isinstance(args, ExtTrainingArguments) and args.early_stopping_patience is not None:
            self.early_stopping_patience = args.early_stopping_patience
            self.early_stopping_threshold = args.early_stopping_threshold
        super().on_train_begin(args, state, control, **kwargs)


def callbacks_from(args: TrainingArguments) -> list[TrainerCallback]:
    """Build the callbacks with a state that checkpoints keep; plain TrainingArguments ask for none."""
    if not isinstance(args, ExtTrainingArguments) or args.early_stopping_patience is None:
        return []
    return [EarlyStopping(args.early_stopping_patience, args.early_stopping_threshold)]


def watch_losses(trainer: Trainer) -> LossWatch | None:
    """Add what looks at the losses and steps of a trainer: the guard, the log file and the progress.

    Returns:
        The guard, which ``training_step`` has to tell of each loss; None unless the arguments ask for it.
    """
    args = trainer.args
    if not isinstance(args, ExtTrainingArguments):
        return None
    window = LossWindow(args.loss_window, from_logs=not args.stop_on_nonfinite_loss)
    trainer.add_callback(window)
    if args.write_train_log:
        trainer.add_callback(TrainLog(window))
    trainer.add_callback(StreamEnd())
    show_progress(trainer, window)
    if not args.stop_on_nonfinite_loss:
        return None
    watch = LossWatch(trainer, window)
    trainer.add_callback(watch)  # the last one: what it refuses has been written down
    return watch
