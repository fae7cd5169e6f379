"""Errors and correlation of two streams of numbers, from a few sums that keep their digits."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class PairMoments:
    """Means and scatter of predicted and true numbers, batch by batch.

    Sums of squares around the means of their own rows are merged by Chan, Golub & LeVeque (1983, The American
    Statistician 37), so that numbers far from zero keep their digits, which plain sums of squares would lose::

        M = M_a + M_b + d d^T n_a n_b / n,    d = mean_b - mean_a

    Attributes:
        state: Rows, the two means, the scatter matrix M (3 numbers), the sums of absolute and squared errors, the
            smallest and largest prediction and truth: float64 ``(12,)``.
    """

    def __init__(self) -> None:
        self.state: NDArray[np.float64] = np.zeros(12)

    def add(self, guess: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
        """Count predicted and true numbers, each ``(N,)``."""
        if len(truth):
            self.state = _joined(self.state, _measure(guess, truth))

    def merge(self, states: NDArray[np.float64]) -> None:
        """Become what the rows of several processes give together, from their states ``(P, 12)``."""
        self.state = np.zeros(12)
        for state in states:
            self.state = _joined(self.state, state)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.state[0])

    def figures(self) -> dict[str, float]:
        """Give ``mse``, ``rmse`` and ``mae``, ``r2`` where the truth varies, ``pearson`` where both do; needs a row."""
        n, scatter = self.state[0], self.state[3:6]
        mse = float(self.state[7] / n)
        result = {"mse": mse, "rmse": math.sqrt(mse), "mae": float(self.state[6] / n)}
        if self.truth_varies:
            result["r2"] = float(1.0 - mse / (scatter[2] / n))
            if self.guess_varies:
                correlation = scatter[1] / (math.sqrt(scatter[0]) * math.sqrt(scatter[2]))
                result["pearson"] = float(np.clip(correlation, -1.0, 1.0))
        return result

    @property
    def guess_varies(self) -> bool:
        """Whether two predictions differ."""
        return bool(self.state[9] > self.state[8])

    @property
    def truth_varies(self) -> bool:
        """Whether two true numbers differ."""
        return bool(self.state[11] > self.state[10])


def _measure(guess: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    means = np.array([guess.mean(), truth.mean()])
    a, b = guess - means[0], truth - means[1]
    errors = guess - truth
    sums = [a @ a, a @ b, b @ b, np.abs(errors).sum(), errors @ errors]
    return np.array([len(truth), *means, *sums, guess.min(), guess.max(), truth.min(), truth.max()])


def _joined(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    if first[0] == 0 or second[0] == 0:
        return first if second[0] == 0 else second
    n = first[0] + second[0]
    shift = second[1:3] - first[1:3]
    between = np.array([shift[0] ** 2, shift[0] * shift[1], shift[1] ** 2]) * (first[0] * second[0] / n)
    joined = first + second  # right for the number of rows, the scatter within and the errors
    joined[1:3] = first[1:3] + shift * (second[0] / n)
    joined[3:6] += between
    joined[[8, 10]] = np.minimum(first, second)[[8, 10]]
    joined[[9, 11]] = np.maximum(first, second)[[9, 11]]
    return joined
