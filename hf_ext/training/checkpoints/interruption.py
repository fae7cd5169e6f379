"""SIGTERM: the step that runs is finished, a checkpoint is written, and the run ends."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from hf_ext.training.argument_groups import RunArguments
from hf_ext.training.checkpoints.keeper import CheckpointKeeper

logger = logging.getLogger(__name__)

STATUS = 128 + signal.SIGTERM  # what a shell gives for a process that SIGTERM has ended


class TerminatedRun(SystemExit):
    """A run was asked to end, and has written a checkpoint to go on from; the exit status is 143.

    Like ``KeyboardInterrupt`` it is no ``Exception``, so that nothing that handles errors takes it for one.
    """


class StopOnSigterm(TrainerCallback):
    """End the run after the step in which SIGTERM arrives, with a checkpoint from which it goes on bitwise.

    The checkpoint is written where Trainer writes them, after the evaluation of that step if it has one. With several
    processes all stop at the same step, whichever the signal reached first.

    Args:
        trainer: Whose run it is.
        keeper: Its checkpoints.
    """

    def __init__(self, trainer: Trainer, keeper: CheckpointKeeper) -> None:
        self.trainer, self.keeper = trainer, keeper
        self._asked = self._ends = False
        self._handler: Any = None
        self._installed = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Listen to SIGTERM; only the main thread may."""
        self._asked = self._ends = self.keeper.interim = False
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, self._note)
            self._installed = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for a checkpoint if the run has to end; at the last step of an epoch, ``on_epoch_end`` does."""
        if not float(state.epoch or 0.5).is_integer():
            self._end_if_asked(control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for a checkpoint, now that what happens once an epoch happens with it."""
        self._end_if_asked(control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End the run.

        Raises:
            TerminatedRun: If SIGTERM has arrived.
        """
        if self._ends:
            logger.warning(
                "Ended by SIGTERM after step %d; --resume_from_checkpoint last goes on from there.", state.global_step
            )
            raise TerminatedRun(STATUS)

    def stop(self) -> None:
        """Give SIGTERM back to whom it belonged."""
        if self._installed:
            signal.signal(signal.SIGTERM, self._handler if self._handler is not None else signal.SIG_DFL)
        self._installed = self.keeper.interim = False

    def _note(self, number: int, frame: Any) -> None:
        self._asked = True  # loading processes inherit this handler: they go on until the step is done

    def _end_if_asked(self, control: TrainerControl) -> None:
        if self._all_agree():
            self._ends = True
            self.keeper.interim = not control.should_save
            control.should_save = True

    def _all_agree(self) -> bool:
        accelerator = self.trainer.accelerator
        if accelerator.num_processes == 1:
            return self._asked
        asked: Any = accelerator.reduce(torch.tensor(int(self._asked), device=self.trainer.args.device), "sum")
        return bool(asked)


def stop_on_sigterm(trainer: Trainer, keeper: CheckpointKeeper) -> StopOnSigterm | None:
    """Let a trainer that saves checkpoints save one more at SIGTERM; one that saves none just ends.

    Transformers' own ``enable_jit_checkpoint`` goes before.
    """
    args = trainer.args
    if not isinstance(args, RunArguments) or args.save_strategy == SaveStrategy.NO or args.enable_jit_checkpoint:
        return None
    callback = StopOnSigterm(trainer, keeper)
    trainer.add_callback(callback)  # after the others: they have seen the checkpoint when the run ends
    return callback
