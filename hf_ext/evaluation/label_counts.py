"""How often each label was right, predicted and true: all that F1, accuracy and MCC need of any number of rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class SingleLabelCounts:
    """Counts of single-label answers.

    Args:
        num_labels: Number of labels L.

    Attributes:
        state: Rows that were right, that were predicted and that are true, by label, int64 ``(3, L)``; the states of
            different rows may be added.
    """

    def __init__(self, num_labels: int) -> None:
        self.state: NDArray[np.int64] = np.zeros((3, num_labels), dtype=np.int64)

    def add(self, guess: NDArray[np.int64], truth: NDArray[np.int64]) -> None:
        """Count rows of label indices, each ``(N,)``.

        Raises:
            ValueError: If there are labels that the model does not have.
        """
        width = self.state.shape[1]
        if len(truth) and not 0 <= truth.min() <= truth.max() < width:
            raise ValueError(f"labels must lie in 0 .. {width - 1}, got {truth.min()} .. {truth.max()}.")
        for counts, labels in zip(self.state, (truth[guess == truth], guess, truth), strict=True):
            counts += np.bincount(labels, minlength=width)

    def merge(self, states: NDArray[np.int64]) -> None:
        """Become the sum of the states of several processes, ``(P, 3, L)``."""
        self.state = states.sum(axis=0)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.state[2].sum())

    def figures(self) -> dict[str, float]:
        """Give the averages over the labels that occur among the true or the predicted ones; needs a row.

        As scikit-learn has them with ``zero_division=0``. ``mcc`` is that of Gorodkin (2004) for any number of labels
        (Computational Biology and Chemistry 28), 0 where all rows have one and the same label::

            (n * sum_l right_l - sum_l predicted_l * true_l)
            / sqrt((n^2 - sum_l predicted_l^2) * (n^2 - sum_l true_l^2))
        """
        right, predicted, true = self.state[:, self.state[1:].any(axis=0)]
        n, correct = float(true.sum()), float(right.sum())
        scores = _label_scores(right, predicted, true)
        weighted = {name: float(values @ true / n) for name, values in scores.items()}
        macro = {name: float(values.mean()) for name, values in scores.items()}
        accuracy = correct / n
        return {
            "f1_weighted": weighted["f1"],
            "accuracy": accuracy,
            "f1_macro": macro["f1"],
            "f1_micro": accuracy,  # each wrong row is one label too many and one too few
            "precision_weighted": weighted["precision"],
            "recall_weighted": weighted["recall"],
            "precision_macro": macro["precision"],
            "recall_macro": macro["recall"],
            "mcc": _matthews(n, correct, predicted.astype(np.float64), true.astype(np.float64)),
        }


class MultiLabelCounts:
    """Counts of answers of any number of labels a row.

    Args:
        num_labels: Number of labels L.

    Attributes:
        state: How often each label was right, predicted and true (3 L numbers), rows, rows whose whole set is right,
            the sum of the F1 of each row: float64 ``(3 L + 3,)``; the states of different rows may be added.
    """

    def __init__(self, num_labels: int) -> None:
        self.state: NDArray[np.float64] = np.zeros(3 * num_labels + 3)

    def add(self, guess: NDArray[np.int64], truth: NDArray[np.int64]) -> None:
        """Count rows of 0 and 1, each ``(N, L)``."""
        each_f1 = _ratio(2.0 * (guess * truth).sum(axis=1), (guess + truth).sum(axis=1))  # (N,)
        counts = [(guess * truth).sum(axis=0), guess.sum(axis=0), truth.sum(axis=0)]
        rows = [len(truth), (guess == truth).all(axis=1).sum(), each_f1.sum()]
        self.state += np.concatenate([*counts, rows])

    def merge(self, states: NDArray[np.float64]) -> None:
        """Become the sum of the states of several processes, ``(P, 3 L + 3)``."""
        self.state = states.sum(axis=0)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.state[-3])

    def figures(self) -> dict[str, float]:
        """Give the averages over all labels, as scikit-learn has them with ``zero_division=0``; needs a row.

        ``accuracy`` is the part of the rows whose whole set is right.
        """
        right, predicted, true = self.state[:-3].reshape(3, -1)
        n, exact, row_f1 = self.state[-3:]
        scores = _label_scores(right, predicted, true)
        overall = {name: float(values[0]) for name, values in _label_scores(*self._totals()).items()}
        return {
            "f1_weighted": float(scores["f1"] @ true / true.sum()) if true.any() else 0.0,
            "f1_micro": overall["f1"],
            "f1_macro": float(scores["f1"].mean()),
            "f1_samples": float(row_f1 / n),
            "accuracy": float(exact / n),
            "precision_micro": overall["precision"],
            "recall_micro": overall["recall"],
            "precision_macro": float(scores["precision"].mean()),
            "recall_macro": float(scores["recall"].mean()),
        }

    def _totals(self) -> NDArray[np.float64]:
        return self.state[:-3].reshape(3, -1).sum(axis=1, keepdims=True)  # (3, 1)


def _label_scores(right: NDArray, predicted: NDArray, true: NDArray) -> dict[str, NDArray[np.float64]]:
    return {
        "precision": _ratio(right, predicted),
        "recall": _ratio(right, true),
        "f1": _ratio(2.0 * right, predicted + true),
    }


def _ratio(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    """Divide; nothing of nothing is 0."""
    return part / np.maximum(whole, 1)


def _matthews(n: float, correct: float, predicted: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    spread = math.sqrt((n * n - predicted @ predicted) * (n * n - true @ true))
    return float((n * correct - predicted @ true) / spread) if spread else 0.0
