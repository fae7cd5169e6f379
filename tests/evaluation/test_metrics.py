"""Metrics: hand-computed numbers, scikit-learn itself, and what is left out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax
from sklearn import metrics as sk
from transformers import EvalPrediction

from hf_ext.errors import UserError
from hf_ext.evaluation import metrics as ours
from hf_ext.models.schema import MULTI_LABEL, PROBLEM_TYPES, REGRESSION, SINGLE_LABEL

seeds = st.integers(0, 2**32 - 1)


def one_hot(indices, width):
    return np.eye(width)[indices] * 4.0


def test_single_label_figures_by_hand():
    # true a a a b b c, predicted a a b b c c: F1 a 4/5, b 1/2, c 2/3
    found = ours.classification_metrics(one_hot([0, 0, 1, 1, 2, 2], 3), [0, 0, 0, 1, 1, 2])
    assert next(iter(found)) == "f1_weighted"
    assert found["f1_weighted"] == pytest.approx((3 * 4 / 5 + 2 * 1 / 2 + 1 * 2 / 3) / 6)
    assert found["f1_macro"] == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert found["f1_micro"] == found["accuracy"] == pytest.approx(4 / 6)
    assert found["precision_macro"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert found["recall_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found["precision_weighted"] == pytest.approx((3 * 1 + 2 / 2 + 1 / 2) / 6)
    assert found["recall_weighted"] == pytest.approx(4 / 6)


def test_binary_figures_by_hand():
    logits = np.array([[0.0, 3.0], [0.0, 1.0], [0.0, -1.0], [0.0, -2.0]])
    found = ours.classification_metrics(logits, [1, 0, 1, 0])
    assert found["mcc"] == pytest.approx(0.0)  # one of four in each cell
    assert found["roc_auc"] == pytest.approx(3 / 4)  # of four pairs, (second, third) is in the wrong order


@given(seed=seeds, width=st.integers(2, 5))
@settings(max_examples=15, deadline=None)
def test_single_label_figures_equal_scikit_learn(seed, width):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(40, width)), np.r_[np.arange(width), rng.integers(0, width, 40 - width)]
    found = ours.classification_metrics(logits, labels)
    guess = logits.argmax(1)
    for average in ("weighted", "macro", "micro"):
        assert found[f"f1_{average}"] == pytest.approx(sk.f1_score(labels, guess, average=average, zero_division=0))
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(labels, guess))
    chances = scipy_softmax(logits, axis=1)
    expected = sk.roc_auc_score(labels, chances[:, 1] if width == 2 else chances, multi_class="ovr", average="macro")
    assert found["roc_auc"] == pytest.approx(expected)


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_multi_label_figures_equal_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    logits, truth = rng.normal(size=(30, 4)), rng.integers(0, 2, size=(30, 4))
    truth[0], truth[1] = 0, 1
    found = ours.multi_label_metrics(logits, truth.astype(float))
    guess = (logits >= 0).astype(int)
    for average in ("weighted", "macro", "micro", "samples"):
        assert found[f"f1_{average}"] == pytest.approx(sk.f1_score(truth, guess, average=average, zero_division=0))
    assert found["accuracy"] == pytest.approx((guess == truth).all(1).mean())
    assert found["map_macro"] == pytest.approx(sk.average_precision_score(truth, logits, average="macro"))
    assert found["roc_auc_macro"] == pytest.approx(sk.roc_auc_score(truth, logits, average="macro"))


def test_multi_label_figures_by_hand():
    # micro: 2 hits of 3 predicted, 2 hits of 4 true; second row is right as a whole
    logits = np.array([[1.0, -1, 1], [-1, 1, -1], [-1, -1, -1]])
    found = ours.multi_label_metrics(logits, [[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    assert found["precision_micro"] == pytest.approx(2 / 3)
    assert found["recall_micro"] == pytest.approx(2 / 4)
    assert found["f1_micro"] == pytest.approx(4 / 7)
    assert found["accuracy"] == pytest.approx(1 / 3)


def test_mean_average_precision_leaves_labels_without_positives_out():
    logits = np.array([[2.0, 5.0, 0.0], [1.0, 4.0, 1.0], [0.0, 3.0, 2.0]])
    found = ours.multi_label_metrics(logits, [[0, 0, 1], [1, 0, 1], [0, 0, 1]])
    assert found["map_macro"] == pytest.approx((1 / 2 + 1) / 2)  # second place; all true; never true
    assert found["roc_auc_macro"] == pytest.approx(1 / 2)  # only the first label varies


def test_regression_figures_by_hand():
    found = ours.regression_metrics(np.array([[1.0], [2.0], [5.0]]), [1.0, 4.0, 5.0])
    assert found["mse"] == pytest.approx(4 / 3)
    assert found["rmse"] == pytest.approx(math.sqrt(4 / 3))
    assert found["mae"] == pytest.approx(2 / 3)
    assert found["spearman"] == pytest.approx(1.0)
    assert found["r2"] == pytest.approx(1 - 4 / (26 / 3))


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_regression_figures_equal_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    guess, truth = rng.normal(size=(20, 1)), rng.normal(size=20)
    found = ours.regression_metrics(guess, truth)
    assert found["mse"] == pytest.approx(sk.mean_squared_error(truth, guess[:, 0]))
    assert found["r2"] == pytest.approx(sk.r2_score(truth, guess[:, 0]))
    assert found["pearson"] == pytest.approx(np.corrcoef(guess[:, 0], truth)[0, 1])
    shifted = ours.regression_metrics(3 * guess + 7, truth)
    assert shifted["spearman"] == pytest.approx(found["spearman"])


def test_correlation_with_a_constant_is_left_out():
    assert ours.regression_metrics([1.0, 1.0], [0.0, 2.0]).keys() == {"mse", "rmse", "mae", "r2"}
    assert ours.regression_metrics([1.0, 2.0], [3.0, 3.0]).keys() == {"mse", "rmse", "mae"}


@pytest.mark.parametrize(
    ("problem_type", "logits", "labels", "unlabelled"),
    [
        (SINGLE_LABEL, [[1.0, 2], [3, 1], [0, 1]], [1, 0, 0], -100),
        (MULTI_LABEL, [[1.0, 2], [3, -1], [0, 1]], [[1, 0], [1, 0], [0, 1]], [math.nan, math.nan]),
        (MULTI_LABEL, [[1.0, 2], [3, -1], [0, 1]], [[1, 0], [1, 0], [0, 1]], [-100, -100]),
        (REGRESSION, [[1.0], [2.0], [4.0]], [1.0, 3.0, 4.0], math.nan),
    ],
)
def test_unlabelled_rows_change_nothing(problem_type, logits, labels, unlabelled):
    more_logits, more_labels = [*logits, [9.0] * len(logits[0])], [*labels, unlabelled]
    assert ours.score(problem_type, more_logits, more_labels) == ours.score(problem_type, logits, labels)
    assert ours.score(problem_type, more_logits[-1:], more_labels[-1:]) == {}


def test_auc_is_left_out_where_a_label_does_not_occur():
    logits = np.random.default_rng(0).normal(size=(6, 3))
    assert "roc_auc" not in ours.classification_metrics(logits, [0, 1, 0, 1, 0, 1])
    assert "roc_auc" in ours.classification_metrics(logits, [0, 1, 2, 1, 0, 1])
    assert "roc_auc" not in ours.classification_metrics(logits[:, :2], [1] * 6)


def test_a_label_in_neither_truth_nor_prediction_does_not_lower_the_macro_score():
    assert ours.classification_metrics(one_hot([0, 1], 5), [0, 1])["f1_macro"] == 1.0


def test_nonfinite_logits_leave_out_only_what_needs_probabilities():
    found = ours.classification_metrics([[0.0, -np.inf], [-np.inf, 0.0]], [0, 1])
    assert found["accuracy"] == 1.0
    assert "roc_auc" not in found


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [(SINGLE_LABEL, [0, 1, 1]), (MULTI_LABEL, [[0, 1], [1, 0], [1, 1]]), (REGRESSION, [0.0, 1.0, 2.0])],
)
def test_figures_are_plain_floats_that_json_takes(problem_type, labels):
    logits = np.array([[1.0, 0], [0, 1], [1, 0.5]], dtype=np.float32)
    found = ours.score(problem_type, logits[:, :1] if problem_type == REGRESSION else logits, labels)
    assert all(type(value) is float for value in found.values())
    json.dumps(found)


LOGITS = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
LABELS = np.array([0, 1, 1])


@pytest.mark.parametrize(
    "outputs",
    [LOGITS, (LOGITS, np.zeros((3, 7))), [LOGITS[:2], LOGITS[2:]], [(LOGITS[:2], 0), (LOGITS[2:], 0)]],
    ids=["array", "tuple", "batches", "batches of tuples"],
)
def test_compute_metrics_takes_every_form_that_trainer_gives(outputs):
    labels = [LABELS[:2], LABELS[2:]] if isinstance(outputs, list) else LABELS
    found = ours.build_compute_metrics(SINGLE_LABEL)(EvalPrediction(outputs, labels))
    assert found == ours.classification_metrics(LOGITS, LABELS)


@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_every_kind_of_task_has_metrics(problem_type):
    assert callable(ours.build_compute_metrics(problem_type))


def test_an_unknown_kind_of_task_answers_with_the_known_ones():
    for call in (ours.build_compute_metrics, lambda kind: ours.score(kind, LOGITS, LABELS)):
        with pytest.raises(ValueError, match=r"problem_type must be one of .*regression.* got 'ranking'"):
            call("ranking")


def test_a_named_metric_that_cannot_be_loaded_is_one_line(tmp_path, monkeypatch):
    import evaluate

    def unreachable(*args, **kwargs):
        raise ConnectionError("Couldn't reach the Hub\nsecond line")

    monkeypatch.setattr(evaluate, "load", unreachable)
    with pytest.raises(UserError) as caught:
        ours.build_compute_metrics(SINGLE_LABEL, metric_name="accuracy", cache_dir=str(tmp_path))
    message = str(caught.value)
    assert "\n" not in message
    assert "--metric_name accuracy" in message
    assert "Couldn't reach the Hub" in message
    assert "built-in metrics need no download" in message


@pytest.mark.parametrize(
    ("problem_type", "logits", "expected"),
    [
        (SINGLE_LABEL, LOGITS, [0, 1, 0]),
        (MULTI_LABEL, LOGITS - 1.5, [[1, 0], [0, 1], [0, 0]]),
        (REGRESSION, LOGITS[:, :1], [2.0, 0.0, 1.0]),
    ],
)
def test_a_named_metric_gets_decisions_and_gives_plain_floats(monkeypatch, problem_type, logits, expected):
    import evaluate

    class Echo:
        def compute(self, predictions, references):
            np.testing.assert_array_equal(predictions, expected)
            return {"rows": np.int64(len(references)), "each": [1, 2]}

    asked = {}
    monkeypatch.setattr(evaluate, "load", lambda name, **kwargs: asked.update(name=name, **kwargs) or Echo())
    compute = ours.build_compute_metrics(problem_type, metric_name="mine")
    assert compute(EvalPrediction(logits, LABELS)) == {"rows": 3.0, "each": [1, 2]}
    assert asked["config_name"] == ("multilabel" if problem_type == MULTI_LABEL else None)


@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_the_names_are_those_that_rows_in_general_position_give(problem_type):
    generator = np.random.default_rng(0)
    labels = {
        SINGLE_LABEL: generator.integers(0, 3, 50),
        MULTI_LABEL: generator.integers(0, 2, (50, 3)),
        REGRESSION: generator.normal(size=50),
    }[problem_type]
    logits = generator.normal(size=(50, 1 if problem_type == REGRESSION else 3))
    assert ours.metric_names(problem_type) == tuple(ours.score(problem_type, logits, labels))


@pytest.mark.filterwarnings("error")
def test_rows_of_one_label_are_scored_in_silence():
    assert ours.classification_metrics([[2.0, 1.0]], [0])["mcc"] == 0.0
