"""Whether probabilities mean what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15  # as Guo et al. and most papers after them


class Calibration(NamedTuple):
    """Answers by the probability that the model gave them, in K bins of equal width from 0 to 1.

    Args:
        counts: Answers in each bin, ``(K,)``.
        confidence: Their mean probability, ``(K,)``; 0 in an empty bin.
        accuracy: The share of them that is right, ``(K,)``; 0 in an empty bin.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """The distance of confidence and accuracy, each bin weighted by its answers; 0 without any answer.

        ``ECE = sum_k n_k / N * |accuracy_k - confidence_k|`` (Naeini et al., 2015; Guo et al., 2017, arXiv:1706.04599,
        equation 3).
        """
        total = self.counts.sum()
        return float(np.sum(self.counts * np.abs(self.accuracy - self.confidence)) / total) if total else 0.0


def measure_calibration(confidence: ArrayLike, right: ArrayLike, *, bins: int = BINS) -> Calibration:
    """Sort answers into bins by their probability, ``(k / K, (k + 1) / K]`` each; 0 is in the first.

    Args:
        confidence: Probability that the model gave each answer, shape ``(N,)``.
        right: Whether the answer is right, shape ``(N,)``.
        bins: How many bins, K.

    Raises:
        ValueError: If the shapes differ.
    """
    said, was = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if said.shape != was.shape or said.ndim != 1:
        raise ValueError(f"confidence has shape {said.shape}, right {was.shape}; both must be (N,).")
    places = np.clip(np.ceil(said * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    filled = np.maximum(counts, 1)
    means = (np.bincount(places, weights=values, minlength=bins) / filled for values in (said, was))
    return Calibration(counts, *means)
