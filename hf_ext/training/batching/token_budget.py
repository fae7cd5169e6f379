"""Batches of a fixed number of tokens, padding included."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers.trainer_pt_utils import BatchRebalanceSampler

SPREAD = 0.1  # how much shorter than its longest row a band may become (fraction)


class Band(NamedTuple):
    """Neighbours among the rows sorted by length, from ``begin`` to ``end``, of which ``rows`` make a batch."""

    begin: int
    end: int
    rows: int


class TokenBudgetBatches(BatchRebalanceSampler):
    """Cut the rows into batches of at most ``tokens``, longest row x number of rows; short texts make large batches.

    The rows, sorted by length, are cut into bands. A band goes from its longest row to those a tenth shorter, and on
    to the end of a batch. Every batch of a band has as many rows as the budget allows of the longest. In each epoch
    the rows of a band are shuffled before they are cut into batches, and so are rows of the same length before the
    bands are cut, and all batches at the end. The bands depend on the lengths alone, so that every epoch has the same
    number of batches: Trainer and the scheduler count the steps once. The batch with the most tokens comes first.

    On several processes each takes every n-th batch. If their number is no multiple of n, the batches with the most
    rows are halved until it is: no row is left out or comes twice (unless there are fewer rows than processes).

    What is read is a function of seed and epoch alone. Every optimizer step is a mean over its own rows, so a row of a
    step with few rows (long ones) counts more than a row of a step with many.

    It is a ``BatchRebalanceSampler`` in one regard only: Trainer hands samplers of that class, and of no other, to the
    loader as batches that are ready for this process.

    When: lengths differ much, or many short texts would fill the device only in part.

    Args:
        lengths: Tokens of each row, shape ``(rows,)``.
        tokens: The budget of a micro-batch on one process. A longer row makes a batch of its own.
        seed: Another seed gives other batches.
        processes: How many share the batches.
        rank: Which of them this is.

    Attributes:
        bands: How the rows, sorted by length, are cut.
        real_share: At least this fraction of the tokens is no padding.
    """

    def __init__(
        self, lengths: NDArray[np.int64], *, tokens: int, seed: int, processes: int = 1, rank: int = 0
    ) -> None:
        self.row_lengths = np.maximum(lengths, 1)
        self.tokens = tokens
        self.seed = seed
        self.processes = processes
        self.rank = rank
        self.epoch = 0
        falling = np.sort(self.row_lengths)[::-1]
        self.bands = cut_bands(falling, tokens)
        self._batches = -(-count_batches(self.bands) // processes)  # on each process
        self.real_share = falling.sum() / max(sum((end - begin) * falling[begin] for begin, end, _ in self.bands), 1)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is read next."""
        self.epoch = epoch

    @property
    def sampler(self) -> TokenBudgetBatches:
        """Give itself: where accelerate, on several processes, looks for what is to be told the epoch."""
        return self

    def __len__(self) -> int:
        """Give the number of batches of this process."""
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = random.permutation(len(self.row_lengths))
        order = order[np.argsort(-self.row_lengths[order], kind="stable")]
        batches: list[NDArray[np.int64]] = []
        for begin, end, rows in self.bands:
            band = random.permutation(order[begin:end])
            batches += np.split(band, range(rows, len(band), rows))
        batches = even_out(batches, self._batches * self.processes)
        batches = [batches[i] for i in random.permutation(len(batches))]
        if batches:
            fullest = int(np.argmax([self.row_lengths[batch].max() * len(batch) for batch in batches]))
            batches[0], batches[fullest] = batches[fullest], batches[0]
        yield from (batch.tolist() for batch in batches[self.rank :: self.processes])


def cut_bands(lengths: NDArray[np.int64], tokens: int) -> list[Band]:
    """Cut rows into bands in which a batch of a certain number of rows keeps the budget.

    Args:
        lengths: Tokens of each row, the longest first, all positive, shape ``(rows,)``.
        tokens: The budget of a batch.
    """
    bands, begin = [], 0
    while begin < len(lengths):
        rows = max(tokens // int(lengths[begin]), 1)
        similar = int(np.searchsorted(-lengths, -lengths[begin] * (1 - SPREAD), side="right")) - begin
        end = min(begin + -(-similar // rows) * rows, len(lengths))
        bands.append(Band(begin, end, rows))
        begin = end
    return bands


def count_batches(bands: Sequence[Band]) -> int:
    """Count the batches that bands are cut into; the last of a band may be smaller."""
    return sum(-(-(band.end - band.begin) // band.rows) for band in bands)


def choose_budget(lengths: NDArray[np.int64], rows: int) -> int:
    """Choose a budget that keeps the number of optimizer steps.

    Args:
        lengths: Tokens of each row, shape ``(rows,)``; at least one.
        rows: How many a batch has without a budget.

    Returns:
        The tokens of ``rows`` rows of mean length; if these make more batches than ``rows`` at a time would, so many
        more that a token fewer still does.
    """
    falling = np.sort(np.maximum(lengths, 1))[::-1]
    most = -(-len(falling) // rows)
    low, high = math.ceil(rows * falling.mean()), rows * int(falling[0])  # the latter holds any ``rows`` of them
    while low < high:
        middle = (low + high) // 2
        if count_batches(cut_bands(falling, middle)) <= most:
            high = middle
        else:
            low = middle + 1
    return high


def even_out(batches: list[NDArray[np.int64]], number: int) -> list[NDArray[np.int64]]:
    """Halve the batches with the most rows until there are ``number``; with single rows only, repeat the first ones.

    Args:
        batches: The rows of each, at most ``number`` of them.
        number: How many there shall be.
    """
    batches = list(batches)
    first = list(batches)
    while len(batches) < number and batches:
        largest = int(np.argmax([len(batch) for batch in batches]))
        batch = batches[largest]
        if len(batch) < 2:
            batches.append(first[len(batches) % len(first)])
            continue
        half = (len(batch) + 1) // 2
        batches[largest] = batch[:half]
        batches.append(batch[half:])
    return batches
