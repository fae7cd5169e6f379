"""Figures of each label equal scikit-learn's; mistakes come with the surest first, and safe for spreadsheets."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from hf_ext.evaluation.label_reports import ERROR_REPORT, LABEL_REPORT, JudgedRows, write_label_reports
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, LabelSchema


def read(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def judged(problem_type, targets, outputs, names=(), **changes):
    targets, outputs = np.asarray(targets), np.asarray(outputs, dtype=float)
    decisions = outputs
    if problem_type == SINGLE_LABEL:
        decisions = outputs.argmax(1)
    elif problem_type == MULTI_LABEL:
        decisions = (outputs >= 0.5).astype(int)
    rows = {"ids": [f"row {i}" for i in range(len(targets))], "texts": [f"text {i}" for i in range(len(targets))]}
    chances = None if problem_type == REGRESSION else outputs
    return JudgedRows(LabelSchema(problem_type, tuple(names)), targets, decisions, chances, **{**rows, **changes})


@pytest.fixture
def random_rows():
    draw = np.random.default_rng(1)
    chances = softmax(draw.normal(size=(200, 5)) * 2, axis=1)
    chances[:, 3] = 0  # a label that is never predicted
    return judged(SINGLE_LABEL, draw.integers(0, 4, 200), chances, "abcde")


def test_single_labels_are_scored_as_scikit_learn_does(random_rows):
    expected = precision_recall_fscore_support(
        random_rows.targets, random_rows.decisions, labels=range(5), zero_division=0
    )
    figures = random_rows.label_figures()
    for i, name in enumerate(("precision", "recall", "f1", "rows")):
        assert [row[name] for row in figures] == pytest.approx(list(expected[i]))
    table = confusion_matrix(random_rows.targets, random_rows.decisions, labels=range(5))
    np.testing.assert_array_equal(random_rows.confusion(), table)


def test_several_labels_are_scored_as_scikit_learn_does(tmp_path):
    draw = np.random.default_rng(2)
    rows = judged(MULTI_LABEL, draw.integers(0, 2, (80, 3)), draw.random((80, 3)), "abc")
    expected = precision_recall_fscore_support(rows.targets, rows.decisions, zero_division=0)
    write_label_reports(tmp_path, rows)
    report = read(tmp_path / LABEL_REPORT)
    for i, name in enumerate(("precision", "recall", "f1", "rows")):
        assert [float(row[name]) for row in report] == pytest.approx(list(expected[i]), abs=1e-5)
    errors = read(tmp_path / ERROR_REPORT)
    assert len(errors) == (rows.targets != rows.decisions).any(axis=1).sum()
    worst = np.abs(rows.probabilities - rows.targets)
    worst[rows.targets == rows.decisions] = 0  # a right answer is nearer than one half, a wrong one further
    assert float(errors[0]["confidence"]) == pytest.approx(worst.max(), abs=1e-5)
    with pytest.raises(ValueError, match="no confusion matrix"):
        rows.confusion()


def test_the_surest_mistake_comes_first_with_its_id_and_text(tmp_path):
    chances = [[0.6, 0.4], [0.1, 0.9], [0.99, 0.01], [0.2, 0.8]]
    write_label_reports(tmp_path, judged(SINGLE_LABEL, [1, 1, 1, 0], chances, ("bad", "good")))
    found = [(row["id"], row["label"], row["prediction"], row["text"]) for row in read(tmp_path / ERROR_REPORT)]
    assert found == [
        ("row 2", "good", "bad", "text 2"),
        ("row 3", "bad", "good", "text 3"),
        ("row 0", "good", "bad", "text 0"),
    ]
    first = read(tmp_path / ERROR_REPORT)[0]
    assert (first["confidence"], first["probability_of_label"]) == ("0.99", "0.01")


def test_no_cell_is_run_by_a_spreadsheet(tmp_path):
    rows = judged(SINGLE_LABEL, [0], [[0.1, 0.9]], ("=1+1", "@b"), ids=["=id"], texts=["-2+3"])
    write_label_reports(tmp_path, rows)
    (error,) = read(tmp_path / ERROR_REPORT)
    assert (error["id"], error["label"], error["prediction"], error["text"]) == ("'=id", "'=1+1", "'@b", "'-2+3")
    assert [row["label"] for row in read(tmp_path / LABEL_REPORT)] == ["'=1+1", "'@b"]


def test_numbers_are_listed_by_their_error_and_have_no_labels(tmp_path):
    (tmp_path / LABEL_REPORT).write_text("of an earlier run")
    paths = write_label_reports(tmp_path, judged(REGRESSION, [1.0, 2.0, 3.0], [1.5, 2.0, 0.0]))
    assert [path.name for path in paths] == [ERROR_REPORT]
    assert not (tmp_path / LABEL_REPORT).exists()
    found = [(row["id"], float(row["error"])) for row in read(tmp_path / ERROR_REPORT)]
    assert found == [("row 2", -3.0), ("row 0", 0.5), ("row 1", 0.0)]


def test_calibration_is_that_of_the_chosen_label_or_of_every_label():
    single = judged(SINGLE_LABEL, [1, 0], [[0.2, 0.8], [0.3, 0.7]], "ab")
    assert single.calibration().counts.sum() == 2
    assert single.calibration().expected_error == pytest.approx((0.2 + 0.7) / 2)
    several = judged(MULTI_LABEL, [[1, 0]], [[0.9, 0.2]], "ab")
    assert several.calibration().expected_error == pytest.approx((0.1 + 0.2) / 2)
    with pytest.raises(ValueError, match="no probability"):
        judged(REGRESSION, [1.0], [1.0]).calibration()


@pytest.mark.parametrize(
    "changes", [{"ids": ["one"]}, {"texts": []}, {"targets": [0]}, {"outputs": [[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]}]
)
def test_lengths_must_agree(changes):
    given = {"targets": [0, 1], "outputs": [[0.9, 0.1], [0.1, 0.9]], "names": "ab", **changes}
    with pytest.raises(ValueError, match=r"shape|there are"):
        judged(SINGLE_LABEL, **given)
