"""Stretches of tokens that a batch is made of: words, or spans of words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Runs:
    """Where each run begins and how long it is; the runs of one row come after those of the row before.

    Args:
        starts: Where a run begins, shape ``(B, T)``; each lasts to the next one. A row begins with a run.
    """

    def __init__(self, starts: NDArray[np.bool_]) -> None:
        rows, size = starts.shape
        bounds = np.flatnonzero(np.append(starts, True))
        self.first = bounds[:-1]  # the place of its first token in the flat batch, row * T + column
        self.length = bounds[1:] - bounds[:-1]  # tokens
        row_bounds = self.first.searchsorted(np.arange(rows + 1) * size)
        self.before = row_bounds[:-1]  # how many runs the rows before have, (B,)
        self.counts = row_bounds[1:] - row_bounds[:-1]  # how many the row has, (B,)
        self.row = np.repeat(np.arange(rows), self.counts)
        self.column = self.first - self.row * size

    def sum_rows(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Add up one number for each run within each row, shape ``(B,)``."""
        return np.add.reduceat(values, self.before)

    def accumulate(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Add up one number for each run from the beginning of its row to the run itself."""
        running = np.cumsum(values)
        return running - (running[self.before] - values[self.before])[self.row]
