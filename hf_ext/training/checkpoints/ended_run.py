"""A checkpoint behind which nothing is left to train."""

from __future__ import annotations

import logging
from pathlib import Path

from transformers import EarlyStoppingCallback, Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

logger = logging.getLogger(__name__)


def has_ended(trainer: Trainer, checkpoint: str, max_steps: int) -> bool:
    """Tell whether a checkpoint, of which a trainer has taken the state, is that of a run's last step.

    Trainer itself takes one step more than was asked for when it resumes a last step within an epoch, or a run that
    has stopped early: it looks at the end only behind a step. A run that was stopped by anything else goes on.

    Args:
        trainer: Its callbacks have the state of the checkpoint.
        checkpoint: The folder.
        max_steps: Optimizer steps of the run that resumes; where they are more than they were, it goes on.
    """
    path = Path(checkpoint) / TRAINER_STATE_NAME
    if not path.is_file():
        return False
    saved = TrainerState.load_from_json(str(path))
    if saved.global_step < max_steps and not _is_out_of_patience(trainer):
        return False
    logger.warning("The run had ended at step %d; nothing is left to train.", saved.global_step)
    return True


def _is_out_of_patience(trainer: Trainer) -> bool:
    given = getattr(trainer.args, "early_stopping_patience", None)
    return any(
        callback.early_stopping_patience_counter >= (given or callback.early_stopping_patience)
        for callback in trainer.callback_handler.callbacks
        if isinstance(callback, EarlyStoppingCallback)
    )
