"""Logits to probabilities and answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hf_ext.evaluation.decision_rule import THRESHOLD, USUAL, DecisionRule
from hf_ext.models.schema import MULTI_LABEL, REGRESSION


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Turn logits into probabilities over the last axis, without overflow for large logits."""
    scores = np.asarray(logits, dtype=np.float64)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Turn each logit into a probability of its own, without overflow for large logits."""
    scores = np.asarray(logits, dtype=np.float64)
    powers = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1.0, powers) / (1.0 + powers)


def probabilities(logits: ArrayLike, problem_type: str, temperature: float = 1.0) -> NDArray[np.float64]:
    """Turn logits ``(N, L)`` into label probabilities ``(N, L)``: they sum to 1 a row, unless labels are many."""
    scores = np.asarray(logits, dtype=np.float64) / temperature
    return sigmoid(scores) if problem_type == MULTI_LABEL else softmax(scores)


def decide(logits: ArrayLike, problem_type: str, rule: DecisionRule = USUAL) -> NDArray[Any]:
    """Turn logits ``(N, L)`` into answers: indices ``(N,)``, 0/1 rows ``(N, L)``, or numbers ``(N,)``."""
    scores = np.asarray(logits)
    if problem_type == REGRESSION:
        return scores.reshape(-1)
    if problem_type == MULTI_LABEL:
        chances = probabilities(scores, problem_type, rule.temperature)
        return (chances >= (rule.thresholds or THRESHOLD)).astype(np.int64)
    if rule.thresholds:
        return (probabilities(scores, problem_type, rule.temperature)[:, 1] >= rule.thresholds[0]).astype(np.int64)
    return scores.argmax(axis=-1)


def first_array(outputs: Any) -> NDArray[Any]:
    """Give the logits of what Trainer hands over: an array, a tuple that starts with it, or a list of batches.

    Tensors become arrays; those of two bytes a number, some of which numpy does not know, float32 ones.
    """
    if isinstance(outputs, list):  # eval_do_concat_batches=False
        return np.concatenate([first_array(batch) for batch in outputs])
    first = outputs[0] if isinstance(outputs, tuple) else outputs
    if isinstance(first, Tensor):
        first = first.detach().cpu()
        first = first.float() if first.is_floating_point() and first.itemsize < 4 else first
        return first.numpy()
    return np.asarray(first)
