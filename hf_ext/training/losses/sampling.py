"""Training rows drawn so that every label comes equally often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler
from transformers import Trainer, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.models.schema import IGNORED_LABEL, MULTI_LABEL, REGRESSION
from hf_ext.training.batching.arguments import OFFICIAL_GROUPING
from hf_ext.training.batching.row_order import tell_epochs
from hf_ext.training.losses.problem_types import problem_type_of
from hf_ext.training.losses.train_labels import first_label, read_labels, require_countable

FLAG = "--weighted_sampling"


class BalancedSampler(Sampler[int]):
    """Draw as many rows as there are, with replacement, each with its own probability.

    What is drawn is a function of seed and epoch alone: every process draws the same rows, and a resumed run draws
    those that the uninterrupted one would have drawn.

    When: some labels are rare; class weights instead see every row once an epoch, at a less steady gradient.

    Args:
        weights: How likely each row is, in any unit, shape ``(rows,)``.
        seed: Another seed draws other rows.
    """

    def __init__(self, weights: np.ndarray, *, seed: int) -> None:
        self.probabilities = weights / weights.sum()
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is drawn next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Give the number of rows drawn, which is that of the rows."""
        return len(self.probabilities)

    def __iter__(self) -> Iterator[int]:
        rows = len(self.probabilities)
        yield from np.random.default_rng((self.seed, self.epoch)).choice(rows, size=rows, p=self.probabilities).tolist()


def balance_labels(trainer: Trainer) -> bool:
    """Prepare a trainer for ``--weighted_sampling``, if its arguments ask for it.

    Raises:
        UserError: If the training rows are a stream, which Trainer would never ask a sampler about.
    """
    if not getattr(trainer.args, "weighted_sampling", False):
        return False
    if trainer.train_dataset is not None:
        require_countable(trainer.train_dataset, FLAG)
    tell_epochs(trainer)
    return True


def build_balanced_sampler(args: TrainingArguments, model: Any, train_dataset: Any) -> BalancedSampler:
    """Build the sampler that ``--weighted_sampling`` asks for.

    Raises:
        UserError: If the rows are a stream, or have not one label or one list of labels each.
    """
    if args.train_sampling_strategy not in ("random", OFFICIAL_GROUPING):
        raise UserError(f"{FLAG} and --train_sampling_strategy {args.train_sampling_strategy} exclude one another")
    labels = read_labels(train_dataset, FLAG)
    problem_type = problem_type_of(model, first_label(train_dataset))
    seed = args.data_seed if args.data_seed is not None else args.seed
    return BalancedSampler(row_weights(labels, problem_type), seed=seed)


def row_weights(labels: list[Any], problem_type: str) -> np.ndarray:
    """Weigh each row by 1 / (number of rows with its label).

    With several labels a row it is the rarest of its labels. Rows without any label (-100, or no label set) count as if
    that were a label of its own.

    Args:
        labels: One a row.
        problem_type: The kind of label.

    Returns:
        Shape ``(rows,)``.

    Raises:
        UserError: For regression and for labels of tokens.
    """
    if problem_type == REGRESSION:
        raise UserError(f"{FLAG} needs labels, and this is {REGRESSION}", fix="leave it out")
    if problem_type != MULTI_LABEL:
        if labels and isinstance(labels[0], list | tuple):
            raise UserError(f"{FLAG} draws rows, and here every token has a label", fix="use --class_weights instead")
        _, which, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
        return 1.0 / counts[which]
    values = np.asarray(labels, dtype=np.float64)
    is_set = (values > 0.5) & (values != IGNORED_LABEL)  # (rows, L)
    counts = np.where(is_set, is_set.sum(0), len(values) + 1)
    bare = ~is_set.any(1)
    return 1.0 / np.where(bare, max(bare.sum(), 1), counts.min(1))
