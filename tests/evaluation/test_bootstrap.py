"""An interval is that of figures of rows drawn one by one; the figure of every row once is the metric itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import f1_score

from hf_ext.evaluation.bootstrap import answer_interval, bootstrap_interval, entity_interval, f1_figure, spearman_figure
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL

ROWS, LABELS = 120, 4


def drawn_rows(problem_type: str):
    draw = np.random.default_rng(3)
    if problem_type == MULTI_LABEL:
        truth = (draw.random((ROWS, LABELS)) < 0.4).astype(int)
        return np.where(draw.random(truth.shape) < 0.2, 1 - truth, truth), truth.astype(float)  # as data have it
    if problem_type == REGRESSION:
        truth = draw.integers(0, 30, ROWS).astype(float)  # with ties
        return np.round(truth + draw.normal(0, 8, ROWS)), truth
    truth = draw.integers(0, LABELS, ROWS)
    return np.where(draw.random(ROWS) < 0.3, draw.integers(0, LABELS, ROWS), truth), truth


def metric(problem_type: str, guess, truth) -> float:
    if problem_type == REGRESSION:
        return spearmanr(guess, truth).statistic
    return f1_score(truth, guess, average="weighted", zero_division=0)


@pytest.mark.parametrize("problem_type", [SINGLE_LABEL, MULTI_LABEL, REGRESSION])
def test_it_is_the_interval_of_rows_drawn_one_by_one(problem_type):
    guess, truth = drawn_rows(problem_type)
    draw = np.random.default_rng(11)
    picks = draw.integers(0, ROWS, (300, ROWS))
    slow = np.quantile([metric(problem_type, guess[rows], truth[rows]) for rows in picks], [0.025, 0.975])
    fast = answer_interval(guess, truth, problem_type, samples=3000, seed=5)
    assert fast == pytest.approx(slow, abs=0.025)
    assert fast.low < metric(problem_type, guess, truth) < fast.high


@pytest.mark.parametrize("seed", range(3))
def test_the_figure_of_a_draw_is_the_metric_of_its_rows(seed):
    draw = np.random.default_rng(seed)
    for problem_type in (SINGLE_LABEL, MULTI_LABEL, REGRESSION):
        guess, truth = drawn_rows(problem_type)
        times = draw.multinomial(ROWS, np.full(ROWS, 1 / ROWS))
        rows = np.repeat(np.arange(ROWS), times)
        if problem_type == REGRESSION:
            figure = spearman_figure(guess, truth)
        else:
            flags = [np.eye(LABELS)[side] if problem_type == SINGLE_LABEL else side for side in (guess, truth)]
            figure = f1_figure(flags[0] * flags[1], *flags)
        found = figure(times[None])[0]
        assert found == pytest.approx(metric(problem_type, guess[rows], truth[rows]), abs=1e-12)


def test_sentences_are_drawn_as_a_whole():
    draw = np.random.default_rng(0)
    gold, predicted = draw.integers(0, 5, (2, 60))
    right = draw.integers(0, np.minimum(gold, predicted) + 1)
    counts = np.stack([right, predicted, gold], axis=1)
    sums = counts[draw.integers(0, 60, (4000, 60))].sum(axis=1)
    slow = np.quantile(2 * sums[:, 0] / (sums[:, 1] + sums[:, 2]), [0.025, 0.975])
    assert entity_interval(counts, samples=4000, seed=1) == pytest.approx(slow, abs=0.012)


def test_a_seed_decides_and_pieces_do_not(monkeypatch):
    guess, truth = drawn_rows(SINGLE_LABEL)
    asked = {"samples": 50, "problem_type": SINGLE_LABEL}
    whole = answer_interval(guess, truth, seed=1, **asked)
    assert whole != answer_interval(guess, truth, seed=2, **asked)
    monkeypatch.setattr("hf_ext.evaluation.bootstrap.MOST_NUMBERS", 40)
    assert answer_interval(guess, truth, seed=1, **asked) == whole


def test_perfect_answers_have_no_width_and_an_undefined_figure_no_interval():
    truth = np.array([0, 1, 1, 2])
    assert answer_interval(truth, truth, SINGLE_LABEL, samples=20, seed=0) == (1.0, 1.0)
    assert answer_interval(np.ones(4), np.arange(4.0), REGRESSION, samples=20, seed=0) is None
    assert answer_interval(np.array([1.0, np.nan]), np.arange(2.0), REGRESSION, samples=20, seed=0) is None
    with pytest.raises(ValueError, match="same rows"):
        answer_interval(truth, truth[:2], SINGLE_LABEL, samples=5, seed=0)


def test_draws_without_a_figure_are_left_out():
    first_kind_missing = bootstrap_interval(
        lambda drawn: np.where(drawn[:, 0] > 0, 1.0, np.nan), np.array([1, 1]), samples=200, seed=0
    )
    assert first_kind_missing == (1.0, 1.0)
