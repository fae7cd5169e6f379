"""The figures of a classifier by scikit-learn, scipy and numpy, from all logits and all labels at once."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import expit, softmax
from sklearn import metrics

from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL


def averages(truth, guess, names):
    """Give F1, precision and recall by their names, such as ``f1_macro``."""
    found = {}
    for name in names:
        kind, average = name.split("_")
        score = {"f1": metrics.f1_score, "precision": metrics.precision_score, "recall": metrics.recall_score}[kind]
        found[name] = score(truth, guess, average=average, zero_division=0)
    return found


def single_label(logits, labels):
    logits, truth = logits[labels != -100].astype(np.float64), labels[labels != -100]
    guess, width = logits.argmax(1), logits.shape[1]
    pairs = [f"{kind}_{average}" for kind in ("f1", "precision", "recall") for average in ("weighted", "macro")]
    found = averages(truth, guess, ["f1_micro", *pairs])
    found["accuracy"] = metrics.accuracy_score(truth, guess)
    found["mcc"] = metrics.matthews_corrcoef(truth, guess) if len({*truth, *guess}) > 1 else 0.0
    if len(np.unique(truth)) == width:
        chances = softmax(logits, axis=1)
        found["roc_auc"] = metrics.roc_auc_score(truth, chances[:, 1] if width == 2 else chances, multi_class="ovr")
    return found


def multi_label(logits, labels):
    rows = ~(np.isnan(labels) | (labels == -100)).any(1)
    chances, truth = expit(logits[rows].astype(np.float64)), labels[rows].astype(int)
    guess = (chances >= 0.5).astype(int)
    names = [f"{kind}_{average}" for kind in ("f1", "precision", "recall") for average in ("micro", "macro")]
    found = averages(truth, guess, ["f1_weighted", "f1_samples", *names])
    found["accuracy"] = metrics.accuracy_score(truth, guess)
    occurs = truth.any(0)
    varies = occurs & ~truth.all(0)
    if occurs.any():
        found["map_macro"] = metrics.average_precision_score(truth[:, occurs], chances[:, occurs])
    if varies.any():
        found["roc_auc_macro"] = metrics.roc_auc_score(truth[:, varies], chances[:, varies])
    return found


def regression(numbers, targets):
    guess, truth = numbers.reshape(-1).astype(np.float64), targets.reshape(-1).astype(np.float64)
    guess, truth = guess[~np.isnan(truth)], truth[~np.isnan(truth)]
    mse = metrics.mean_squared_error(truth, guess)
    found = {"mse": mse, "rmse": np.sqrt(mse), "mae": metrics.mean_absolute_error(truth, guess)}
    if np.ptp(truth) > 0:
        found["r2"] = metrics.r2_score(truth, guess)
        if np.ptp(guess) > 0:
            found["pearson"] = stats.pearsonr(guess, truth).statistic
            found["spearman"] = stats.spearmanr(guess, truth).statistic
    return found


REFERENCES = {SINGLE_LABEL: single_label, MULTI_LABEL: multi_label, REGRESSION: regression}
