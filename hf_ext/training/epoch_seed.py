"""Random numbers of the batches that change with the epoch, and come back on resume."""

from __future__ import annotations

from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class KnowsEpochs(Protocol):
    """What draws by the number of the epoch, such as a ``MaskingCollator``."""

    def set_epoch(self, epoch: int) -> None:
        """Draw as in this epoch from now on."""


class EpochSeed(TrainerCallback):
    """Tell a collator at the beginning of each epoch which one it is.

    Trainer calls this before it asks the data loader, and so the workers, for the first batch of the epoch, also when
    it resumes in the middle of one. A resumed run counts on from the epoch of the checkpoint.

    Args:
        collator: What is told; running workers must learn of it, as through shared memory.
    """

    def __init__(self, collator: KnowsEpochs) -> None:
        self.collator = collator
        self.next_epoch = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin with the epoch that the state is in: 0, or that of the checkpoint."""
        self.next_epoch = int(state.epoch or 0)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the collator."""
        self.collator.set_epoch(self.next_epoch)
        self.next_epoch += 1
