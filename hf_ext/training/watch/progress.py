"""How far a training is, as a bar on a terminal and as log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from tqdm.auto import tqdm
from transformers import ProgressCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from hf_ext.training.watch.loss_window import LossWindow

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0
NOT_SHOWN = ("epoch", "step", "total_flos", "runtime", "per_second", "preparation_time")


class LossBar(ProgressCallback):
    """Show one bar for the training, with the loss of the last step, the mean loss and the learning rate.

    Evaluations have a bar of their own while they run, and leave one line with their results.

    Args:
        window: Where the losses of the steps are noted.
    """

    def __init__(self, window: LossWindow) -> None:
        super().__init__()
        self.window = window
        self._named = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar, at the step where a resumed run goes on."""
        if state.is_world_process_zero:
            self.training_bar = tqdm(total=state.max_steps, initial=state.global_step, dynamic_ncols=True)
        self.current_step = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move on by a step."""
        if self.training_bar is not None:
            text = describe_losses(self.window, _learning_rate(kwargs.get("optimizer")))
            self.training_bar.set_postfix_str(_join(text, self._named), refresh=False)
        super().on_step_end(args, state, control, **kwargs)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the results of an evaluation above the bar; what is logged of the training stands in it."""
        results = describe_results(logs or {})
        self._named = describe_named_losses(logs or {}) or self._named
        if self.training_bar is not None and results:
            self.training_bar.write(f"step {state.global_step}: {results}", file=sys.stderr)

    def close(self) -> None:
        """Close what is open."""
        for bar in (self.prediction_bar, self.training_bar):
            if bar is not None:
                bar.close()
        self.prediction_bar = self.training_bar = None


class ProgressLines(TrainerCallback):
    """Log a line at every logging event and at least every half minute, for logs that are read as files.

    Args:
        window: Where the losses of the steps are noted.
        clock: Gives the time in seconds.
    """

    def __init__(self, window: LossWindow, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.window = window
        self.clock = clock
        self._begun = self._said = clock()
        self._first_step = self._batches = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._begun = self._said = self.clock()
        self._first_step = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Say where the training is if it has not been said for a while."""
        if self.clock() - self._said >= SECONDS_BETWEEN_LINES and not control.should_log:
            self._say(state, describe_losses(self.window, _learning_rate(kwargs.get("optimizer"))))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say where the training is, or what an evaluation found."""
        logs = logs or {}
        if "loss" in logs:
            losses = describe_losses(self.window, logs.get("learning_rate"))
            self._say(state, _join(losses, describe_named_losses(logs)))
        elif describe_results(logs):
            self._batches = 0
            self._say(state, describe_results(logs), timed=False)

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Say where a long evaluation is."""
        self._batches += 1
        if self.clock() - self._said >= SECONDS_BETWEEN_LINES:
            total = f" of {len(eval_dataloader)}" if has_length(eval_dataloader) else ""
            self._say(state, f"evaluation, batch {self._batches}{total}", timed=False)

    def on_predict(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Any, **kwargs: Any
    ) -> None:
        """Count the batches of the next prediction from 0."""
        self._batches = 0

    def _say(self, state: TrainerState, text: str, *, timed: bool = True) -> None:
        self._said = self.clock()
        if not state.is_world_process_zero:
            return
        step, total = state.global_step, state.max_steps
        place = f"step {step} of {total} ({100 * step // total} %)" if total else "evaluation"
        logger.info("%s: %s%s", place, text, self._speed(step, total) if timed else "")

    def _speed(self, step: int, total: int) -> str:
        done, seconds = step - self._first_step, self.clock() - self._begun
        if done <= 0 or seconds <= 0:
            return ""
        left = timedelta(seconds=round((total - step) * seconds / done))
        return f", {done / seconds:.3g} it/s, {left} left"


def show_progress(trainer: Trainer, window: LossWindow) -> None:
    """Put a bar, or log lines where there is no terminal, in the place of transformers' bar.

    Nothing changes where that is not asked for (``disable_tqdm``) or is another one (notebooks).
    """
    if not any(type(callback) is ProgressCallback for callback in trainer.callback_handler.callbacks):
        return
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(LossBar(window) if has_terminal() else ProgressLines(window))


def close_progress(trainer: Trainer) -> None:
    """End the line of a bar that an error broke off, so that what is written next stands on its own."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, LossBar):
            callback.close()


def has_terminal() -> bool:
    """Tell whether somebody may be watching stderr, where bars go."""
    return sys.stderr.isatty()


def describe_losses(window: LossWindow, learning_rate: float | None) -> str:
    """Put the loss of the last step, the mean loss and the learning rate into a few words."""
    parts = []
    if window.last is not None:
        parts.append(f"loss {window.last:.4g}, mean {window.mean:.4g}")
    if learning_rate is not None:
        parts.append(f"lr {learning_rate:.3g}")
    return ", ".join(parts)


def describe_named_losses(logs: Mapping[str, Any]) -> str:
    """Put the losses that a model names into a few words; nothing where the training loss is not logged."""
    if "loss" not in logs:
        return ""
    return ", ".join(f"{name} {value:.4g}" for name, value in logs.items() if name.endswith("_loss"))


def describe_results(logs: Mapping[str, Any]) -> str:
    """Put what an evaluation found into a few words; nothing for logs of the training."""
    if "loss" in logs or "train_loss" in logs:
        return ""
    shown = {name: value for name, value in logs.items() if not name.endswith(NOT_SHOWN)}
    return ", ".join(f"{name} {v:.4g}" if isinstance(v, float) else f"{name} {v}" for name, v in shown.items())


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _learning_rate(optimizer: Any) -> float | None:
    groups = getattr(optimizer, "param_groups", None)
    return float(groups[0]["lr"]) if groups else None
