"""Logits to probabilities and answers, with numpy and nothing else.

``hf_ext.inference.export`` copies this file beside an exported classifier, so that whoever runs it needs no torch::

    import json, onnxruntime, decisions
    settings = json.load(open("model.json", encoding="utf-8"))
    (logits,) = onnxruntime.InferenceSession("model.onnx").run(["logits"], inputs)
    answers = decisions.answer(logits, settings)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MULTI_LABEL, REGRESSION = "multi_label_classification", "regression"  # transformers' names of kinds of tasks
THRESHOLD = 0.5  # where nothing else is said


def answer(logits: ArrayLike, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Answer as the model that was exported does.

    Args:
        logits: Shape ``(N, L)``.
        settings: What stands beside the exported model: ``problem_type``, ``labels``, ``decision_rule``.

    Returns:
        For each row what ``name_decision`` gives, of a regression only ``prediction``, a number.
    """
    kind, rule = settings["problem_type"], settings["decision_rule"]
    decided = decide(logits, kind, **rule)
    if kind == REGRESSION:
        return [{"prediction": float(number)} for number in decided]
    rows = zip(decided, probabilities(logits, kind, rule["temperature"]), strict=True)
    return [name_decision(decision, chances, settings["labels"]) for decision, chances in rows]


def name_decision(decision: Any, chances: ArrayLike, names: Sequence[str]) -> dict[str, Any]:
    """Say what is answered for one row by the names of the labels.

    Args:
        decision: The index of the label that holds, or of several labels 0 or 1 for each, ``(L,)``.
        chances: The probability of each label, ``(L,)``.
        names: The labels.

    Returns:
        ``prediction``, a label or a list of labels; ``score``, the probability of what was chosen, or a list; and
        ``probabilities`` by label.
    """
    by_name = {name: float(chance) for name, chance in zip(names, np.asarray(chances), strict=True)}
    prediction: str | list[str]
    score: float | list[float]
    if np.ndim(decision):
        prediction = [name for name, holds in zip(names, decision, strict=True) if holds]
        score = [by_name[name] for name in prediction]
    else:
        prediction = names[int(decision)]
        score = by_name[prediction]
    return {"prediction": prediction, "score": score, "probabilities": by_name}


def decide(
    logits: ArrayLike, problem_type: str, *, temperature: float = 1.0, thresholds: Sequence[float] = ()
) -> NDArray[Any]:
    """Turn logits ``(N, L)`` into answers: indices ``(N,)``, 0/1 rows ``(N, L)``, or numbers ``(N,)``.

    Args:
        logits: Of N rows.
        problem_type: One of transformers' three names.
        temperature: Logits are divided by it before they become probabilities.
        thresholds: The probability from which on a label holds: one for each of several labels; of two exclusive labels
            one, that of label 1. Empty means 0.5, or the likeliest label.
    """
    scores = np.asarray(logits)
    if problem_type == REGRESSION:
        return scores.reshape(-1)
    if problem_type == MULTI_LABEL:
        return (probabilities(scores, problem_type, temperature) >= (thresholds or THRESHOLD)).astype(np.int64)
    if thresholds:
        return (probabilities(scores, problem_type, temperature)[:, 1] >= thresholds[0]).astype(np.int64)
    return scores.argmax(axis=-1)


def probabilities(logits: ArrayLike, problem_type: str, temperature: float = 1.0) -> NDArray[np.float64]:
    """Turn logits ``(N, L)`` into label probabilities ``(N, L)``: they sum to 1 a row, unless labels are many."""
    scores = np.asarray(logits, dtype=np.float64) / temperature
    return sigmoid(scores) if problem_type == MULTI_LABEL else softmax(scores)


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
