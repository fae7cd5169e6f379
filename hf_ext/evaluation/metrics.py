"""Logits and labels to numbers, with scikit-learn and without a network.

Every function returns plain floats. A figure that is not defined on the given rows (the AUC of a class that does
not occur, the correlation with a constant) is left out rather than given as NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from transformers import EvalPrediction

from hf_ext.errors import UserError
from hf_ext.models.schema import IGNORED_LABEL, MULTI_LABEL, PROBLEM_TYPES, REGRESSION, SINGLE_LABEL

Metrics = dict[str, float]
MULTI_LABEL_THRESHOLD = 0.5


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


def probabilities(logits: ArrayLike, problem_type: str) -> NDArray[np.float64]:
    """Turn logits ``(N, L)`` into label probabilities ``(N, L)``: they sum to 1 a row, unless labels are many."""
    return sigmoid(logits) if problem_type == MULTI_LABEL else softmax(logits)


def classification_metrics(logits: ArrayLike, labels: ArrayLike) -> Metrics:
    """Score single-label predictions.

    Averages run over the labels that occur among the true or the predicted ones (scikit-learn's default), so a
    label that appears in neither does not lower the macro F1. A label without predictions has precision 0.

    Args:
        logits: Scores of each label, shape ``(N, L)``.
        labels: Index of the true label, shape ``(N,)``; rows with -100 are left out.

    Returns:
        ``f1_weighted`` first, then ``accuracy``, F1, precision and recall averages, ``mcc``, and ``roc_auc`` (of
        label 1 when there are two; else one-vs-rest, macro) when every label occurs. Empty when no row has a label.
    """
    from sklearn import metrics

    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels).reshape(-1)
    scores, truth = scores[truth != IGNORED_LABEL], truth[truth != IGNORED_LABEL].astype(np.int64)
    if not len(truth):
        return {}
    guess = scores.argmax(axis=-1)

    def averaged(score: Callable[..., float], average: str) -> float:
        return float(score(truth, guess, average=average, zero_division=0))

    result = {
        "f1_weighted": averaged(metrics.f1_score, "weighted"),
        "accuracy": float(metrics.accuracy_score(truth, guess)),
        "f1_macro": averaged(metrics.f1_score, "macro"),
        "f1_micro": averaged(metrics.f1_score, "micro"),
        "precision_weighted": averaged(metrics.precision_score, "weighted"),
        "recall_weighted": averaged(metrics.recall_score, "weighted"),
        "precision_macro": averaged(metrics.precision_score, "macro"),
        "recall_macro": averaged(metrics.recall_score, "macro"),
        # scikit-learn warns where all rows have one and the same label, and says 0
        "mcc": float(metrics.matthews_corrcoef(truth, guess)) if len({*truth, *guess}) > 1 else 0.0,
    }
    if scores.shape[1] > 1 and len(np.unique(truth)) == scores.shape[1] and np.isfinite(scores).all():
        chances = softmax(scores)
        target = chances[:, 1] if scores.shape[1] == 2 else chances
        result["roc_auc"] = float(metrics.roc_auc_score(truth, target, multi_class="ovr"))
    return result


def multi_label_metrics(logits: ArrayLike, labels: ArrayLike) -> Metrics:
    """Score predictions of any number of labels a row; a label is predicted from probability 0.5 on.

    Args:
        logits: Scores of each label, shape ``(N, L)``.
        labels: 1 for a label that holds, else 0, shape ``(N, L)``; rows with NaN or -100 are left out.

    Returns:
        F1 averages, ``accuracy`` (the whole set is right), precision and recall, ``map_macro`` (mean average precision
        over the labels that occur) and ``roc_auc_macro`` (over the labels that occur in some rows, not in all).
    """
    from sklearn import metrics

    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    labelled = ~(np.isnan(truth) | (truth == IGNORED_LABEL)).any(axis=-1)
    scores, truth = scores[labelled], truth[labelled].astype(np.int64)
    if not len(truth):
        return {}
    chances = sigmoid(scores)
    guess = (chances >= MULTI_LABEL_THRESHOLD).astype(np.int64)

    def averaged(score: Callable[..., float], average: str) -> float:
        return float(score(truth, guess, average=average, zero_division=0))

    result = {
        "f1_weighted": averaged(metrics.f1_score, "weighted"),
        "f1_micro": averaged(metrics.f1_score, "micro"),
        "f1_macro": averaged(metrics.f1_score, "macro"),
        "f1_samples": averaged(metrics.f1_score, "samples"),
        "accuracy": float(metrics.accuracy_score(truth, guess)),
        "precision_micro": averaged(metrics.precision_score, "micro"),
        "recall_micro": averaged(metrics.recall_score, "micro"),
        "precision_macro": averaged(metrics.precision_score, "macro"),
        "recall_macro": averaged(metrics.recall_score, "macro"),
    }
    occurs, varies = truth.any(axis=0), truth.any(axis=0) & ~truth.all(axis=0)
    if occurs.any() and np.isfinite(scores).all():
        result["map_macro"] = float(metrics.average_precision_score(truth[:, occurs], chances[:, occurs]))
    if varies.any() and np.isfinite(scores).all():
        result["roc_auc_macro"] = float(metrics.roc_auc_score(truth[:, varies], chances[:, varies]))
    return result


def regression_metrics(predictions: ArrayLike, targets: ArrayLike) -> Metrics:
    """Score predicted numbers.

    Args:
        predictions: Predicted numbers, shape ``(N,)`` or ``(N, 1)``.
        targets: True numbers, shape ``(N,)``; rows with NaN are left out.

    Returns:
        ``mse``, ``rmse``, ``mae``; ``r2``, ``pearson`` and ``spearman`` where predictions and targets vary.
    """
    from scipy import stats

    guess, truth = (np.asarray(values, dtype=np.float64).reshape(-1) for values in (predictions, targets))
    guess, truth = guess[~np.isnan(truth)], truth[~np.isnan(truth)]
    if not len(truth):
        return {}
    errors = guess - truth
    mse = float(np.mean(errors**2))
    result = {"mse": mse, "rmse": float(np.sqrt(mse)), "mae": float(np.mean(np.abs(errors)))}
    if np.ptp(truth) > 0:
        result["r2"] = float(1.0 - mse / np.var(truth))
        if np.ptp(guess) > 0:
            result["pearson"] = float(np.corrcoef(guess, truth)[0, 1])
            result["spearman"] = float(stats.spearmanr(guess, truth).statistic)
    return {name: value for name, value in result.items() if np.isfinite(value) or name in ("mse", "rmse", "mae")}


METRICS: dict[str, Callable[[ArrayLike, ArrayLike], Metrics]] = {
    SINGLE_LABEL: classification_metrics,
    MULTI_LABEL: multi_label_metrics,
    REGRESSION: regression_metrics,
}


def score(problem_type: str, logits: ArrayLike, labels: ArrayLike) -> Metrics:
    """Score predictions by the metrics of their kind of task; unlabelled rows are left out.

    Raises:
        ValueError: If the problem type is unknown.
    """
    if problem_type not in METRICS:
        raise ValueError(f"problem_type must be one of {PROBLEM_TYPES}, got {problem_type!r}.")
    return METRICS[problem_type](logits, labels)


def metric_names(problem_type: str) -> tuple[str, ...]:
    """Name the figures that a kind of task is scored by, where all of them are defined."""
    targets = [[1, 0], [0, 1]] if problem_type == MULTI_LABEL else [0, 1]
    guess = [[0.0], [1.0]] if problem_type == REGRESSION else [[1.0, 0.0], [0.0, 1.0]]
    return tuple(score(problem_type, guess, targets))


def build_compute_metrics(
    problem_type: str, *, metric_name: str | None = None, cache_dir: str | None = None
) -> Callable[[EvalPrediction], Metrics]:
    """Build the ``compute_metrics`` of a Trainer.

    Args:
        problem_type: One of transformers' three names.
        metric_name: A metric loaded through ``evaluate`` (a Hub name or a local script) in place of the built-in
            ones; it gets predicted indices, 0/1 rows, or numbers.
        cache_dir: Where ``evaluate`` keeps what it downloads.

    Raises:
        UserError: If the named metric cannot be loaded.
    """
    if problem_type not in METRICS:
        raise ValueError(f"problem_type must be one of {PROBLEM_TYPES}, got {problem_type!r}.")
    named = _load_metric(metric_name, problem_type, cache_dir) if metric_name else None

    def compute_metrics(prediction: EvalPrediction) -> Metrics:
        logits, labels = first_array(prediction.predictions), first_array(prediction.label_ids)
        if named is None:
            return score(problem_type, logits, labels)
        result = named.compute(predictions=decide(logits, problem_type), references=labels)
        return {name: float(value) if np.ndim(value) == 0 else value for name, value in (result or {}).items()}

    return compute_metrics


def decide(logits: ArrayLike, problem_type: str) -> NDArray[Any]:
    """Turn logits ``(N, L)`` into answers: indices ``(N,)``, 0/1 rows ``(N, L)``, or numbers ``(N,)``."""
    scores = np.asarray(logits)
    if problem_type == REGRESSION:
        return scores.reshape(-1)
    if problem_type == MULTI_LABEL:
        return (sigmoid(scores) >= MULTI_LABEL_THRESHOLD).astype(np.int64)
    return scores.argmax(axis=-1)


def first_array(outputs: Any) -> NDArray[Any]:
    """Give the logits of what Trainer hands over: an array, a tuple that starts with it, or a list of batches."""
    if isinstance(outputs, list):  # eval_do_concat_batches=False
        return np.concatenate([first_array(batch) for batch in outputs])
    return np.asarray(outputs[0] if isinstance(outputs, tuple) else outputs)


def _load_metric(name: str, problem_type: str, cache_dir: str | None) -> Any:
    import evaluate

    config = "multilabel" if problem_type == MULTI_LABEL else None
    try:
        return evaluate.load(name, config_name=config, cache_dir=cache_dir)
    except Exception as error:  # the Hub client raises many kinds; all mean that there is no such metric here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"--metric_name {name} cannot be loaded ({reason})",
            fix="leave it out: the built-in metrics need no download; named ones come from the Hugging Face Hub",
        ) from error
