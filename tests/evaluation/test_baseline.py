"""The TF-IDF floor on small data whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hf_ext.evaluation.baseline import tfidf_baseline
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL

ENGLISH = [f"{word} film number {i}" for i in range(40) for word in ("good", "awful")]
CHINESE = [f"{word}电影第{i}部" for i in range(40) for word in ("精彩", "无聊")]
NAMES = ["pos", "neg"] * 40


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_separable_texts_are_separated(texts):
    found = tfidf_baseline(texts[:60], NAMES[:60], texts[60:], NAMES[60:], SINGLE_LABEL)
    assert next(iter(found)) == "f1_weighted"
    assert found["f1_weighted"] == found["roc_auc"] == 1.0


def test_shuffled_labels_give_about_chance():
    labels = np.random.default_rng(0).integers(0, 2, 80)
    found = tfidf_baseline(ENGLISH[:40], labels[:40], ENGLISH[40:], labels[40:], SINGLE_LABEL)
    assert 0.2 < found["accuracy"] < 0.8


def test_names_and_indices_give_the_same_score():
    texts, labels = [f"{'abcd'[i % 4]} {i % 3}" for i in range(60)], [i % 4 for i in range(60)]
    names = ["wxyz"[label] for label in labels]
    by_index = tfidf_baseline(texts[:40], labels[:40], texts[40:], labels[40:], SINGLE_LABEL)
    assert by_index == tfidf_baseline(texts[:40], names[:40], texts[40:], names[40:], SINGLE_LABEL)


def test_a_test_label_that_training_lacks_counts_as_a_miss():
    found = tfidf_baseline(["good a", "bad b"], ["p", "n"], ["good a", "good c"], ["p", "new"], SINGLE_LABEL)
    assert found["accuracy"] == 0.5


def test_a_single_training_label_is_always_predicted():
    found = tfidf_baseline(["a b", "c d"], ["p", "p"], ["a", "x", "y", "z"], ["p", "p", "p", "n"], SINGLE_LABEL)
    assert found["accuracy"] == 0.75


def test_multi_label_one_classifier_a_label():
    words = np.array(["sun", "rain", "wind"])
    rows = np.array([[i & 1, i >> 1 & 1, 1] for i in range(1, 4)] * 20)
    texts = [" ".join(words[row.astype(bool)]) for row in rows]
    found = tfidf_baseline(texts[:45], rows[:45].tolist(), texts[45:], rows[45:].tolist(), MULTI_LABEL)
    assert found["f1_macro"] == found["map_macro"] == 1.0  # the third label always holds: a constant


def test_regression_follows_the_words():
    texts = [f"{word} thing {i}" for i in range(30) for word in ("bad", "fair", "great")]
    targets = [0.0, 1.0, 2.0] * 30
    found = tfidf_baseline(texts[:60], targets[:60], texts[60:], targets[60:], REGRESSION)
    assert found["spearman"] > 0.9
    assert found["mse"] < 0.1


@pytest.mark.parametrize(
    ("problem_type", "labels", "missing"),
    [
        (SINGLE_LABEL, [0, 1], -100),
        (SINGLE_LABEL, [0, 1], None),
        (REGRESSION, [0.0, 1.0], math.nan),
        (MULTI_LABEL, [[0, 1], [1, 0]], [math.nan] * 2),
        (MULTI_LABEL, [[0, 1], [1, 0]], None),
    ],
)
def test_unlabelled_rows_change_nothing(problem_type, labels, missing):
    known = tfidf_baseline(ENGLISH[:20], labels * 10, ENGLISH[20:30], labels * 5, problem_type)
    more = tfidf_baseline(
        [*ENGLISH[:20], "other"], [*labels * 10, missing], [*ENGLISH[20:30], "x"], [*labels * 5, missing], problem_type
    )
    assert known == more


def test_nothing_to_fit_or_an_unknown_task_is_one_line():
    with pytest.raises(ValueError, match="labelled texts, got 0 to fit, 1 to test"):
        tfidf_baseline(["a"], [-100], ["b"], [1], SINGLE_LABEL)
    with pytest.raises(ValueError, match="problem_type must be one of"):
        tfidf_baseline(["a"], [0], ["b"], [1], "ranking")
