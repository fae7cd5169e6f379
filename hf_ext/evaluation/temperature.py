"""One number that makes probabilities mean what they say: the temperature of the logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_ext.evaluation.calibration import measure_calibration
from hf_ext.evaluation.decisions import probabilities
from hf_ext.models.schema import MULTI_LABEL

COLDEST, HOTTEST = 0.05, 20.0
HALVINGS = 60


def fit_temperature(logits: ArrayLike, targets: ArrayLike, problem_type: str) -> float:
    """Find the temperature whose probabilities are likeliest on some rows (Guo et al., 2017, arXiv:1706.04599, 4.2).

    ``L(b) = -log p(targets | b * logits)`` with ``b = 1 / temperature`` is convex, so its only minimum is where its
    slope, the mean of ``sum_l (p_l - y_l) * logit_l``, changes its sign: halved down to in double precision.

    Args:
        logits: Scores of each label, shape ``(N, L)``.
        targets: Label indices ``(N,)``, or 0/1 rows ``(N, L)`` for several labels.
        problem_type: One label a row or several.

    Returns:
        From ``COLDEST`` (where rows without any mistake would end at 0) to ``HOTTEST``.
    """
    scores = np.asarray(logits, dtype=np.float64)
    truth = one_hot(targets, scores.shape[1], problem_type)

    def slope(factor: float) -> float:
        return float(((probabilities(factor * scores, problem_type) - truth) * scores).sum())

    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def mean_surprise(logits: ArrayLike, targets: ArrayLike, problem_type: str, *, temperature: float = 1.0) -> float:
    """Give the mean negative log-likelihood (nats) of a row, of several labels that of a label.

    Args:
        logits: Scores of each label, shape ``(N, L)``.
        targets: Label indices ``(N,)``, or 0/1 rows ``(N, L)`` for several labels.
        problem_type: One label a row or several.
        temperature: What the logits are divided by.
    """
    scores = np.asarray(logits, dtype=np.float64) / temperature
    truth = one_hot(targets, scores.shape[1], problem_type)
    if problem_type == MULTI_LABEL:
        return float((np.logaddexp(0, scores) - truth * scores).mean())
    return float((np.logaddexp.reduce(scores, axis=1) - (truth * scores).sum(axis=1)).mean())


def one_hot(targets: ArrayLike, num_labels: int, problem_type: str) -> NDArray[np.float64]:
    """Give targets as 0/1 rows ``(N, L)``."""
    if problem_type == MULTI_LABEL:
        return np.asarray(targets, dtype=np.float64)
    return np.eye(num_labels)[np.asarray(targets, dtype=np.int64)]


def calibration_error(logits: ArrayLike, targets: ArrayLike, problem_type: str, *, temperature: float = 1.0) -> float:
    """Give the expected calibration error of the likeliest label, of several labels that of each label.

    Args:
        logits: Scores of each label, shape ``(N, L)``.
        targets: Label indices ``(N,)``, or 0/1 rows ``(N, L)`` for several labels.
        problem_type: One label a row or several.
        temperature: What the logits are divided by.
    """
    chances, truth = probabilities(logits, problem_type, temperature), np.asarray(targets)
    if problem_type == MULTI_LABEL:
        return measure_calibration(chances.reshape(-1), truth.reshape(-1)).expected_error
    return measure_calibration(chances.max(axis=1), chances.argmax(axis=1) == truth).expected_error
