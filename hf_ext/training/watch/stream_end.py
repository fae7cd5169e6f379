"""A training stream that is shorter than the run begins again, which transformers does not say."""

from __future__ import annotations

import logging
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

logger = logging.getLogger(__name__)


class StreamEnd(TrainerCallback):
    """Say once that all rows of a stream have been seen and are read again."""

    def __init__(self) -> None:
        self._passes = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin to count."""
        self._passes = 0

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        train_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Count a pass over the rows; the second one of a stream is worth a line."""
        self._passes += 1
        if self._passes == 2 and train_dataloader is not None and not has_length(train_dataloader):
            logger.warning(
                "The training stream has ended before step %d of %d: its rows are read again, as often as "
                "--max_steps needs them.",
                state.global_step + 1,
                state.max_steps,
            )
