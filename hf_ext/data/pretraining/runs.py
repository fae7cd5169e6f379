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
