"""Batches of a fixed number of rows, with rows of similar length in each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from hf_ext.training.batching.row_order import EpochOrder

MOST_BATCHES, FEWEST_GROUPS = 50, 4  # of a group, and groups in an epoch: as in transformers' LengthGroupedSampler


class LengthGroupedRows(Sampler[int]):
    """Put rows of similar length beside one another, and leave to chance all that does not need it.

    The shuffled rows are cut into groups of up to 50 batches, of which an epoch has at least 4; each group is sorted
    by length and cut into batches, and all batches are shuffled. So which rows meet changes with the epoch, and long
    and short batches come in any order. (``LengthGroupedSampler`` of transformers leaves the batches sorted inside of
    each group: the lengths of successive steps fall like the teeth of a saw. It also reads every row to measure it.)

    Two batches stand elsewhere: the longest comes first, so that a run that does not fit into memory stops at once;
    the one that the rows do not fill comes last.

    When: texts differ in length and attention is padded. Batches are no longer independent draws of the rows; where
    the label hangs on the length this makes gradients noisier, and ``dynamic`` is the alternative.

    Args:
        rows: All rows, or a draw of them, in random order.
        lengths: Tokens of each row, shape ``(rows,)``.
        batch_size: Rows that are to be of similar length: those of one micro-batch on all processes together.
    """

    def __init__(self, rows: EpochOrder, lengths: NDArray[np.int64], *, batch_size: int) -> None:
        self.rows = rows
        self.lengths = lengths
        self.batch_size = batch_size

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is read next."""
        self.rows.set_epoch(epoch)

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        order = np.fromiter(self.rows, dtype=np.int64, count=len(self.rows))
        whole = len(order) // self.batch_size * self.batch_size
        group = max(min(whole // self.batch_size // FEWEST_GROUPS, MOST_BATCHES), 1) * self.batch_size
        grouped = [self._sort(order[i : i + group]) for i in range(0, len(order), group)]
        order = np.concatenate(grouped) if grouped else order
        batches = order[:whole].reshape(-1, self.batch_size)
        if len(batches):
            batches = np.random.default_rng((self.rows.seed, self.rows.epoch, 1)).permutation(batches)
            longest = self.lengths[batches].max(1).argmax()
            batches[[0, longest]] = batches[[longest, 0]]
        yield from batches.ravel().tolist()
        yield from order[whole:].tolist()

    def _sort(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        return order[np.argsort(-self.lengths[order], kind="stable")]
