"""Logits and labels to numbers, without a network: the metrics of a classifier, by its kind of task.

Every function returns plain floats. A figure that is not defined on the given rows (the AUC of a class that does
not occur, the correlation with a constant) is left out rather than given as NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from transformers import EvalPrediction

from hf_ext.errors import UserError
from hf_ext.evaluation.classification_metric import ClassificationMetric, NamedMetric
from hf_ext.evaluation.running_scores import check_problem_type
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL

Metrics = dict[str, float]


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
    return _score_at_once(SINGLE_LABEL, logits, np.asarray(labels).reshape(-1))


def multi_label_metrics(logits: ArrayLike, labels: ArrayLike) -> Metrics:
    """Score predictions of any number of labels a row; a label is predicted from probability 0.5 on.

    Args:
        logits: Scores of each label, shape ``(N, L)``.
        labels: 1 for a label that holds, else 0, shape ``(N, L)``; rows with NaN or -100 are left out.

    Returns:
        F1 averages, ``accuracy`` (the whole set is right), precision and recall, ``map_macro`` (mean average precision
        over the labels that occur) and ``roc_auc_macro`` (over the labels that occur in some rows, not in all).
    """
    return _score_at_once(MULTI_LABEL, logits, labels)


def regression_metrics(predictions: ArrayLike, targets: ArrayLike) -> Metrics:
    """Score predicted numbers.

    Args:
        predictions: Predicted numbers, shape ``(N,)`` or ``(N, 1)``.
        targets: True numbers, shape ``(N,)``; rows with NaN are left out.

    Returns:
        ``mse``, ``rmse``, ``mae``; ``r2``, ``pearson`` and ``spearman`` where predictions and targets vary.
    """
    return _score_at_once(REGRESSION, predictions, targets)


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
    check_problem_type(problem_type)
    return METRICS[problem_type](logits, labels)


def metric_names(problem_type: str) -> tuple[str, ...]:
    """Name the figures that a kind of task is scored by, where all of them are defined."""
    targets = [[1, 0], [0, 1]] if problem_type == MULTI_LABEL else [0, 1]
    guess = [[0.0], [1.0]] if problem_type == REGRESSION else [[1.0, 0.0], [0.0, 1.0]]
    return tuple(score(problem_type, guess, targets))


def build_compute_metrics(
    problem_type: str, *, metric_name: str | None = None, cache_dir: str | None = None
) -> ClassificationMetric | NamedMetric:
    """Build the ``compute_metrics`` of a Trainer, for all rows at once or, by ``batch_eval_metrics``, for batches.

    Args:
        problem_type: One of transformers' three names.
        metric_name: A metric loaded through ``evaluate`` (a Hub name or a local script) in place of the built-in
            ones; it gets predicted indices, 0/1 rows, or numbers.
        cache_dir: Where ``evaluate`` keeps what it downloads.

    Raises:
        UserError: If the named metric cannot be loaded.
    """
    check_problem_type(problem_type)
    if metric_name:
        return NamedMetric(_load_metric(metric_name, problem_type, cache_dir), problem_type)
    return ClassificationMetric(problem_type)


def _score_at_once(problem_type: str, logits: ArrayLike, labels: ArrayLike) -> Metrics:
    everything: Any = EvalPrediction(np.asarray(logits, dtype=np.float64), np.asarray(labels))
    return ClassificationMetric(problem_type)(everything)


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
