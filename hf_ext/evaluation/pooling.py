"""The answers of several classifiers for the same rows, as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_ext.evaluation.decisions import probabilities, sigmoid
from hf_ext.models.schema import MULTI_LABEL, REGRESSION

LEAST = 1e-300  # a probability whose logarithm is still finite


def pool_logits(members: Sequence[ArrayLike], problem_type: str, *, temperature: float = 1.0) -> NDArray[np.float64]:
    """Give the logits of the mean of the members' probabilities; of numbers the mean itself.

    ``p(y) = 1/K * sum_k softmax(logits_k / temperature)[y]``, of several labels a row the mean of their sigmoids: the
    linear opinion pool (Stone, 1961). The temperature is in the result, which needs none of its own.

    Args:
        members: Logits ``(N, L)`` of each of the K members.
        problem_type: One of transformers' three names.
        temperature: What the logits of every member are divided by.

    Returns:
        Logits ``(N, L)`` whose softmax, or sigmoid, is the mean.
    """
    scores = [np.asarray(logits, dtype=np.float64) for logits in members]
    if problem_type == REGRESSION:
        return np.mean(scores, axis=0)
    mean = np.mean([probabilities(logits, problem_type, temperature) for logits in scores], axis=0)
    pooled = np.log(np.maximum(mean, LEAST))
    if problem_type == MULTI_LABEL:  # 1 - mean would lose the digits of a sure member
        other = np.mean([sigmoid(-logits / temperature) for logits in scores], axis=0)
        pooled -= np.log(np.maximum(other, LEAST))
    return pooled
