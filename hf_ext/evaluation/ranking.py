"""Figures of the order of the rows: they need every score, where F1 and accuracy need counts alone.

The scores of a process's own rows stay with it. What is compared between processes is one label at a time, ``(N,)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_ext.evaluation.decisions import sigmoid
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL

Scores = NDArray[Any]
Join = Callable[[NDArray[Any]], NDArray[Any]]


class KeptScores:
    """Scores and targets of the rows so far: batches are appended, and read one label at a time."""

    def __init__(self) -> None:
        self._scores: list[Scores] = []
        self._targets: list[Scores] = []

    def add(self, scores: Scores, targets: Scores) -> None:
        """Keep a batch, a row each: numbers ``(B,)`` or one for each label ``(B, L)``."""
        self._scores.append(scores)
        self._targets.append(targets)

    @property
    def nbytes(self) -> int:
        """The number of bytes that are kept."""
        return sum(batch.nbytes for batch in (*self._scores, *self._targets))

    @property
    def width(self) -> int:
        """The number of labels L; needs a batch."""
        return self._scores[0].shape[-1]

    def is_finite(self) -> bool:
        """Whether no score is infinite or NaN."""
        return all(np.isfinite(batch).all() for batch in self._scores)

    def scores(self, label: int | None = None) -> Scores:
        """Give the scores ``(N,)``, those of a label where there are several."""
        return np.concatenate([batch if label is None else batch[:, label] for batch in self._scores])

    def targets(self, label: int | None = None) -> Scores:
        """Give the targets ``(N,)``, those of a label where there are several."""
        return np.concatenate([batch if label is None else batch[:, label] for batch in self._targets])

    def softmax_scale(self) -> tuple[Scores, Scores]:
        """Give the largest logit m of each row and the sum of ``exp(logit - m)`` over its labels, each ``(N,)``."""
        largest = np.concatenate([batch.max(axis=1) for batch in self._scores]).astype(np.float64)
        sums = [
            np.exp(batch - batch.max(axis=1, keepdims=True).astype(np.float64)).sum(axis=1) for batch in self._scores
        ]
        return largest, np.concatenate(sums)


def ranking_figures(problem_type: str, kept: KeptScores, join: Join) -> dict[str, float]:
    """Give the figures of a kind of task that depend on the order of the scores.

    Args:
        problem_type: One of transformers' three names.
        kept: The rows of this process: logits ``(n, L)`` with label indices ``(n,)`` or 0/1 rows ``(n, L)``; or
            predicted with true numbers, each ``(n,)``.
        join: Gives the rows that all processes have of an array; each must ask for the same ones.

    Returns:
        ``roc_auc`` (of label 1 when there are two; else one-vs-rest, macro) when every label occurs; or ``map_macro``
        (mean average precision over the labels that occur) and ``roc_auc_macro`` (over the labels that occur in some
        rows, not in all); or ``spearman``. Nothing where a score is not finite.
    """
    if not join(np.array([kept.is_finite()], dtype=np.uint8)).all():
        return {}
    return RANKINGS[problem_type](kept, join)


def _roc_auc(kept: KeptScores, join: Join) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    own, width = kept.targets(), kept.width
    occurs = join(np.bincount(own, minlength=width)[None]).any(axis=0)
    if width < 2 or not occurs.all():
        return {}
    truth, (largest, sums), areas = join(own), kept.softmax_scale(), []
    for label in [1] if width == 2 else range(width):
        chances = np.exp(kept.scores(label) - largest) / sums
        areas.append(roc_auc_score(truth == label, join(chances)))
    return {"roc_auc": float(np.mean(areas))}


def _macro_averages(kept: KeptScores, join: Join) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    precisions, areas = [], []
    for label in range(kept.width):
        truth, chances = join(kept.targets(label)), join(sigmoid(kept.scores(label)))
        if truth.any():
            precisions.append(average_precision_score(truth, chances))
            if not truth.all():
                areas.append(roc_auc_score(truth, chances))
    means = {"map_macro": precisions, "roc_auc_macro": areas}
    return {name: float(np.mean(values)) for name, values in means.items() if values}


def _spearman(kept: KeptScores, join: Join) -> dict[str, float]:
    from scipy import stats

    guess, truth = join(kept.scores()), join(kept.targets())
    if np.ptp(guess) == 0 or np.ptp(truth) == 0:
        return {}
    return {"spearman": float(stats.spearmanr(guess, truth).statistic)}


RANKINGS: dict[str, Callable[[KeptScores, Join], dict[str, float]]] = {
    SINGLE_LABEL: _roc_auc,
    MULTI_LABEL: _macro_averages,
    REGRESSION: _spearman,
}
