"""The floor beside a neural model: TF-IDF with a linear classifier, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_ext.evaluation.metrics import METRICS, Metrics, score
from hf_ext.han import han_prevails
from hf_ext.models.schema import IGNORED_LABEL, MULTI_LABEL, PROBLEM_TYPES, REGRESSION, SINGLE_LABEL

SMALL_DATA = 50  # below so many training texts a feature may occur once
INVERSE_REGULARIZATION = 10.0
RIDGE_ALPHA = 1.0


def tfidf_baseline(
    train_texts: Sequence[str],
    train_labels: Sequence[Any],
    test_texts: Sequence[str],
    test_labels: Sequence[Any],
    problem_type: str,
) -> Metrics:
    """Fit TF-IDF with logistic regression (ridge regression for numbers) and score it on the test texts.

    Where Han script prevails in the training texts the features are character 1-3-grams, else word 1-2-grams
    with character 2-4-grams. Term counts are damped (sublinear) and features of a single text dropped, unless
    there are hardly any texts. Rows without a label (-100, NaN) are left out.

    Args:
        train_texts: Training texts.
        train_labels: A name or index a text; a 0/1 row a text for multi-label tasks; a number for regression.
        test_texts: Texts to score on.
        test_labels: Their labels, of the same kind.
        problem_type: One of transformers' three names.

    Returns:
        The same figures as for a model, by the same names.

    Raises:
        ValueError: If a split is empty or the problem type is unknown.
    """
    if problem_type not in METRICS:
        raise ValueError(f"problem_type must be one of {PROBLEM_TYPES}, got {problem_type!r}.")
    train_texts, train_labels = _labelled(train_texts, train_labels)
    test_texts, test_labels = _labelled(test_texts, test_labels)
    if not train_texts or not test_texts:
        raise ValueError(
            f"the baseline needs labelled texts, got {len(train_texts)} to fit, {len(test_texts)} to test."
        )
    features = _vectorizer(train_texts)
    train, test = features.fit_transform(train_texts), features.transform(test_texts)
    if problem_type == REGRESSION:
        return score(problem_type, _regress(train, train_labels, test), np.asarray(test_labels, dtype=float))
    if problem_type == MULTI_LABEL:
        return score(problem_type, _score_labels(train, np.asarray(train_labels), test), np.asarray(test_labels))
    return _classify(train, train_labels, test, test_labels)


def _labelled(texts: Sequence[str], labels: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """Leave out rows whose label is missing: None, -100, or a NaN in it."""
    kept = [(text, label) for text, label in zip(texts, labels, strict=True) if not _is_missing(label)]
    return [text for text, _ in kept], [label for _, label in kept]


def _is_missing(label: Any) -> bool:
    if label is None:
        return True
    values = np.asarray(label)
    return values.dtype.kind in "iuf" and bool((np.isnan(values) | (values == IGNORED_LABEL)).any())


def _vectorizer(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    shared: dict[str, Any] = {"sublinear_tf": True, "min_df": 1 if len(texts) < SMALL_DATA else 2, "dtype": np.float32}
    if han_prevails(texts):
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), **shared)
    return make_union(
        TfidfVectorizer(analyzer="word", ngram_range=(1, 2), token_pattern=r"(?u)\S+|\b\w+\b", **shared),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **shared),
    )


def _classify(train: Any, train_labels: Sequence[Any], test: Any, test_labels: Sequence[Any]) -> Metrics:
    """Score single labels; a test label that training lacks can never be hit, but counts."""
    names = sorted({str(label) for label in (*train_labels, *test_labels)})
    index = {name: i for i, name in enumerate(names)}
    targets = np.array([index[str(label)] for label in train_labels])
    logits = np.full((test.shape[0], len(names)), -np.inf)
    seen = np.unique(targets)
    if len(seen) == 1:
        logits[:, seen] = 0.0
    else:
        logits[:, seen] = _decision(_logistic().fit(train, targets), test)
    return score(SINGLE_LABEL, logits, np.array([index[str(label)] for label in test_labels]))


def _score_labels(train: Any, targets: np.ndarray, test: Any) -> np.ndarray:
    """Fit one classifier a label (one-vs-rest); a label without both answers in training gets its constant."""
    logits = np.empty((test.shape[0], targets.shape[1]))
    for column, target in enumerate(targets.T.astype(int)):
        if target.min() == target.max():
            logits[:, column] = 30.0 if target[0] else -30.0
        else:
            logits[:, column] = _logistic().fit(train, target).decision_function(test)
    return logits


def _regress(train: Any, targets: Sequence[float], test: Any) -> np.ndarray:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=RIDGE_ALPHA).fit(train, np.asarray(targets, dtype=float)).predict(test)


def _logistic() -> Any:
    """One logistic regression a class: on sparse features as good as the multinomial one, and faster."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(LogisticRegression(C=INVERSE_REGULARIZATION, solver="liblinear", tol=1e-3))


def _decision(model: Any, features: Any) -> np.ndarray:
    """Give one score a class, shape ``(N, classes)``; scikit-learn gives a single column for two classes."""
    scores = model.decision_function(features)
    return np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores
