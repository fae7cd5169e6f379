"""A checkpoint behind which nothing is left to train."""

from __future__ import annotations

import logging
from pathlib import Path

from transformers import Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

logger = logging.getLogger(__name__)


def has_ended(trainer: Trainer, checkpoint: str, max_steps: int) -> bool:
    """Tell whether a checkpoint, of which a trainer has taken the state, is that of a run's last step.

    Trainer itself takes one step more than was asked for when it resumes a last step within an epoch, or a run that
    has stopped early: it looks at the end only behind a step.

    Args:
        trainer: Its ``control`` is that of the checkpoint.
        checkpoint: The folder.
        max_steps: Optimizer steps of the run that resumes; where they are more than they were, it goes on.
    """
    path = Path(checkpoint) / TRAINER_STATE_NAME
    if not path.is_file():
        return False
    saved = TrainerState.load_from_json(str(path))
    stopped_early = trainer.control.should_training_stop and saved.global_step < saved.max_steps
    if saved.global_step < max_steps and not stopped_early:
        return False
    logger.warning("The run had ended at step %d; nothing is left to train.", saved.global_step)
    return True
