"""What is known of predictions batch by batch: counts or sums, and the scores only where a figure needs their order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_ext.evaluation.label_counts import MultiLabelCounts, SingleLabelCounts
from hf_ext.evaluation.moments import PairMoments
from hf_ext.evaluation.ranking import Join, KeptScores, ranking_figures
from hf_ext.models.schema import IGNORED_LABEL, MULTI_LABEL, PROBLEM_TYPES, REGRESSION, SINGLE_LABEL

ERRORS = ("mse", "rmse", "mae")  # said even where they are not finite


class RunningScores:
    """Score predictions as they come, in memory that does not grow with the rows, or by one score a label where asked.

    Rows without a label are left out: -100 or NaN in it, for numbers NaN alone.

    Args:
        problem_type: One of transformers' three names.
        num_labels: Number of labels L; not looked at for regression.

    Raises:
        ValueError: If the problem type is unknown.
    """

    def __init__(self, problem_type: str, num_labels: int) -> None:
        check_problem_type(problem_type)
        self.problem_type = problem_type
        self._counts: SingleLabelCounts | MultiLabelCounts | PairMoments
        if problem_type == REGRESSION:
            self._counts = PairMoments()
        else:
            self._counts = (SingleLabelCounts if problem_type == SINGLE_LABEL else MultiLabelCounts)(num_labels)
        self._kept: KeptScores | None = None

    def add(self, answers: ArrayLike, targets: ArrayLike, *, scores: NDArray[Any] | None = None) -> None:
        """Count a batch.

        Args:
            answers: Label indices ``(N,)``, 0/1 rows ``(N, L)`` or numbers ``(N,)``, as ``decide`` gives them.
            targets: The same of the truth.
            scores: What figures of order are to be had from, in every batch or in none: logits ``(N, L)``, or the
                numbers once more. They are kept.

        Raises:
            ValueError: If there are labels that the model does not have.
        """
        guess, truth = np.asarray(answers), np.asarray(targets)
        kind = np.float64 if self.problem_type == REGRESSION else np.int64
        if self.problem_type != MULTI_LABEL:
            truth = truth.reshape(-1)
        labelled = find_labelled(truth, self.problem_type)
        guess, truth = guess[labelled].astype(kind), truth[labelled].astype(kind)
        self._counts.add(guess, truth)
        if scores is not None:
            self._kept = self._kept or KeptScores()
            small = truth if self.problem_type == REGRESSION else truth.astype(np.int32)
            self._kept.add(scores[labelled], small.astype(np.uint8) if self.problem_type == MULTI_LABEL else small)

    @property
    def nbytes(self) -> int:
        """The number of bytes that are kept."""
        return self._counts.state.nbytes + (self._kept.nbytes if self._kept is not None else 0)

    def figures(self, join: Join = np.asarray) -> dict[str, float]:
        """Give the figures of all rows so far.

        Args:
            join: Where each process has its own rows, what gives an array that all of them have together, one after the
                other along the first dimension. Each process must then ask. If it is called, the counts are afterwards
                those of all processes.

        Returns:
            Empty when no row has a label. Figures that are not defined on these rows are left out.
        """
        self._counts.merge(join(self._counts.state[None]))
        if not self._counts.rows:
            return {}
        result = self._counts.figures()
        if self._kept is not None:
            result |= ranking_figures(self.problem_type, self._kept, join)
        return {name: value for name, value in result.items() if name in ERRORS or np.isfinite(value)}


def check_problem_type(problem_type: str) -> None:
    """Refuse what is no kind of task.

    Raises:
        ValueError: Naming the known ones.
    """
    if problem_type not in PROBLEM_TYPES:
        raise ValueError(f"problem_type must be one of {PROBLEM_TYPES}, got {problem_type!r}.")


def find_labelled(targets: NDArray[Any], problem_type: str) -> NDArray[np.bool_]:
    """Tell which rows can be scored, from targets ``(N,)`` or ``(N, L)``; gives ``(N,)``."""
    if problem_type == REGRESSION:
        return ~np.isnan(targets.astype(np.float64))
    missing = targets == IGNORED_LABEL
    if targets.dtype.kind == "f":
        missing |= np.isnan(targets)
    return ~(missing.any(axis=-1) if targets.ndim == 2 else missing)
