"""From which probability on a label holds: the cut that is best on some rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_ext.evaluation.decisions import THRESHOLD

Numbers = NDArray[np.float64]


def best_threshold(chances: ArrayLike, holds: ArrayLike, metric: str) -> float:
    """Find the probability from which on one label is best said to hold, of all cuts between the rows.

    A threshold lies in the middle between the probabilities of two rows. Of cuts that are equally good the one next to
    0.5 is taken; it is 0.5 where the label holds in no row or in all.

    Args:
        chances: Probability of the label, shape ``(N,)``.
        holds: Whether it holds, shape ``(N,)``.
        metric: One of ``THRESHOLD_METRICS``.
    """
    order = np.argsort(-np.asarray(chances, dtype=np.float64), kind="stable")
    sorted_chances, truth = np.asarray(chances, dtype=np.float64)[order], np.asarray(holds, dtype=np.float64)[order]
    total, rows = truth.sum(), float(len(truth))
    if not 0 < total < rows:
        return THRESHOLD
    last = np.flatnonzero(np.append(np.diff(sorted_chances) < 0, True))  # the last row of each probability
    said = np.concatenate([[0.0], last + 1.0])  # rows for which the label is said to hold
    right = np.concatenate([[0.0], np.cumsum(truth)[last]])
    cuts = _middles(sorted_chances[last])
    scores = np.where(cuts <= 1, THRESHOLD_METRICS[metric](right, said, total, rows), -np.inf)
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(cuts[best[np.argmin(np.abs(cuts[best] - THRESHOLD))]])


def _middles(falling: Numbers) -> Numbers:
    """Give the cut above the first and below each of distinct probabilities."""
    above, below = np.append(np.inf, falling), np.append(falling, 0.0)
    middles = np.where(np.isinf(above), (below + 1) / 2, (np.where(np.isinf(above), 1, above) + below) / 2)
    return np.where(middles > below, middles, above)  # neighbours so close that nothing is between them


def _f1(right: Numbers, said: Numbers, total: float, rows: float) -> Numbers:
    return 2 * right / (said + total)


def _f1_macro(right: Numbers, said: Numbers, total: float, rows: float) -> Numbers:
    rightly_not = rows - said - total + right
    return (_f1(right, said, total, rows) + 2 * rightly_not / (2 * rows - said - total)) / 2


def _accuracy(right: Numbers, said: Numbers, total: float, rows: float) -> Numbers:
    return (rows - said - total + 2 * right) / rows


def _matthews(right: Numbers, said: Numbers, total: float, rows: float) -> Numbers:
    spread = np.sqrt(said * (rows - said) * total * (rows - total))
    return np.divide(rows * right - said * total, spread, out=np.zeros_like(right), where=spread > 0)


# From rows where a label is rightly said to hold, is said to, does hold (a number), and all rows (a number).
THRESHOLD_METRICS: dict[str, Callable[[Numbers, Numbers, float, float], Numbers]] = {
    "f1": _f1,
    "f1_macro": _f1_macro,
    "accuracy": _accuracy,
    "mcc": _matthews,
}
