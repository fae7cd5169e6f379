"""Where in a stream a checkpoint was, when the stream had been read more than once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import has_length


def find_stream_position(trainer: Trainer, checkpoint: Any) -> tuple[int, int] | None:
    """Find the epoch that a checkpoint was in, and the micro-batches that it had seen of it.

    Nobody knows how many batches a stream has, so that on resume Trainer takes the whole run for one epoch, skips its
    steps in the first pass, and goes on in the second. But a checkpoint says where it was: its ``epoch`` is the number
    of passes plus the steps in this one over ``max_steps``.

    Args:
        trainer: Whose training data it is.
        checkpoint: Folder of the checkpoint; None where nothing is resumed.

    Returns:
        None for data of a known length, and without a checkpoint.
    """
    path = Path(checkpoint or "") / TRAINER_STATE_NAME
    if not checkpoint or not path.is_file() or has_length(trainer.train_dataset):
        return None
    state = TrainerState.load_from_json(str(path))
    passes, part = divmod(state.epoch or 0.0, 1)
    accumulation = trainer.args.gradient_accumulation_steps
    return int(passes), round(part * state.max_steps * accumulation)
