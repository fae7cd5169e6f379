"""The order in which training reads its rows: a function of seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class EpochOrder(Protocol):
    """Rows in an order that is another one in each epoch, and the same one whenever that epoch is asked for."""

    seed: int
    epoch: int

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is read next."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[int]: ...


class ShuffledRows(Sampler[int]):
    """Every row once an epoch, in an order that seed and epoch decide.

    Every process and every resumed run finds the same order, whatever was drawn elsewhere before.

    Args:
        rows: How many there are.
        seed: Another seed gives other orders.
    """

    def __init__(self, rows: int, *, seed: int) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is read next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Give the number of rows."""
        return self.rows

    def __iter__(self) -> Iterator[int]:
        yield from np.random.default_rng((self.seed, self.epoch)).permutation(self.rows).tolist()


class SamplerEpochCallback(TrainerCallback):
    """Tell the sampler the epoch.

    Trainer does so too, but in the epoch that it resumes in the middle, on several processes, what it says ends at
    accelerate's wrappers.
    """

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        train_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Pass the epoch on through the dataloader as it is without skipped batches."""
        if hasattr(train_dataloader, "set_epoch"):
            train_dataloader.set_epoch(int(state.epoch or 0))


def tell_epochs(trainer: Trainer) -> None:
    """Have the samplers of a trainer told the epoch, once."""
    if not any(isinstance(callback, SamplerEpochCallback) for callback in trainer.callback_handler.callbacks):
        trainer.add_callback(SamplerEpochCallback())
