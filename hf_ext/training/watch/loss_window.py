"""The loss of the last optimizer step and the mean of the last ones, as plain numbers."""

from __future__ import annotations

from collections import deque
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class LossWindow(TrainerCallback):
    """Keep the losses of the last optimizer steps of this run.

    Args:
        size: Over how many optimizer steps the mean is taken.
        from_logs: Take them from what is logged (the mean since the log before stands for each step since), rather
            than from ``LossWatch``, which knows every step.
    """

    def __init__(self, size: int, *, from_logs: bool = False) -> None:
        self.losses: deque[float] = deque(maxlen=size)
        self.from_logs = from_logs
        self._logged_step = 0

    @property
    def last(self) -> float | None:
        """The newest loss; None before the first."""
        return self.losses[-1] if self.losses else None

    @property
    def mean(self) -> float | None:
        """The mean over the window; None before the first loss."""
        return sum(self.losses) / len(self.losses) if self.losses else None

    def add(self, loss: float, *, steps: int = 1) -> None:
        """Note the loss of the next optimizer step, or of the next few."""
        self.losses.extend([loss] * min(steps, self.losses.maxlen or steps))

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget the run before."""
        self.losses.clear()
        self._logged_step = state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the logged loss where nobody tells the loss of each step."""
        if self.from_logs and "loss" in (logs or {}):
            self.add(logs["loss"], steps=max(state.global_step - self._logged_step, 1))  # type: ignore[index]
            self._logged_step = state.global_step
