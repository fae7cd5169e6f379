"""The picture of a search: every trial, the best so far, none too many."""

from __future__ import annotations

import pytest
from report.picture_checks import has_blank_edge, inches, same, share_of

pytest.importorskip("matplotlib")

from hf_ext.report.trials import draw_trials

TRIALS = [(0, 0.61, True), (1, 0.72, True), (2, 0.40, False), (4, 0.66, True), (5, 0.74, True)]


@pytest.mark.parametrize("trials", [TRIALS, TRIALS[:1], TRIALS[2:3], [(i, i % 7 / 7, i % 3 > 0) for i in range(300)]])
@pytest.mark.parametrize("greater_is_better", [True, False])
def test_any_number_of_trials_fits(trials, greater_is_better):
    picture = draw_trials(trials, "f1_weighted", greater_is_better=greater_is_better)
    assert has_blank_edge(picture)
    assert inches(picture)[0] == 7.5
    finished = any(whole for _, _, whole in trials)
    assert (share_of(picture, "blue") > 0) == (share_of(picture, "orange") > 0) == finished


def test_the_best_so_far_depends_on_which_way_is_better():
    up, down = (draw_trials(TRIALS, "loss", greater_is_better=better) for better in (True, False))
    assert not same(up, down)


def test_a_trial_that_was_ended_early_is_no_best_one():
    with_it = [*TRIALS, (6, 0.9, False)]
    best = max(value for _, value, whole in with_it if whole)
    assert best == 0.74
    assert not same(
        draw_trials(with_it, "f1", greater_is_better=True), draw_trials(TRIALS, "f1", greater_is_better=True)
    )
