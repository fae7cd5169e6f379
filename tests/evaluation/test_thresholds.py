"""A threshold is the best of all cuts, tried one by one with another library's metrics."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from hf_ext.evaluation.thresholds import THRESHOLD_METRICS, best_threshold

BY_HAND = {
    "f1": lambda truth, said: f1_score(truth, said, zero_division=0),
    "f1_macro": lambda truth, said: f1_score(truth, said, average="macro", labels=[0, 1], zero_division=0),
    "accuracy": accuracy_score,
    "mcc": matthews_corrcoef,
}


@pytest.mark.parametrize("metric", THRESHOLD_METRICS)
@pytest.mark.parametrize("digits", [1, 15])
def test_no_cut_is_better(metric, digits):
    draw = np.random.default_rng(4)
    for share in (0.1, 0.5, 0.9):
        truth = draw.random(40) < share
        chances = np.round(np.clip(0.3 * truth + 0.5 * draw.random(40), 0, 1), digits)
        if truth.all() or not truth.any():
            continue
        found = best_threshold(chances, truth, metric)
        cuts = [*np.unique(chances), np.nextafter(chances.max(), 2)]
        best = max(BY_HAND[metric](truth, chances >= cut) for cut in cuts)
        assert BY_HAND[metric](truth, chances >= found) == pytest.approx(best, abs=1e-12)
        assert 0 <= found <= 1


def test_it_lies_in_the_middle_next_to_a_half_and_without_a_choice_at_a_half():
    assert best_threshold([0.2, 0.4, 0.8], [0, 0, 1], "f1") == pytest.approx(0.6)
    assert best_threshold([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], "accuracy") in (pytest.approx(0.4), pytest.approx(0.85))
    assert best_threshold([0.9, 0.2], [1, 1], "f1") == best_threshold([0.9, 0.2], [0, 0], "f1") == 0.5


@pytest.mark.parametrize("chances", [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, np.nextafter(0.5, 1), 0.1]])
def test_ends_and_neighbours_can_be_told_apart(chances):
    found = best_threshold(chances, [0, 1, 0], "f1")
    assert 0 <= found <= 1
    if chances[1] > chances[0]:
        assert (np.array(chances) >= found).tolist() == [False, True, False]
