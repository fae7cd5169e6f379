"""A log of a training becomes series: sorted, finite, the last word at each step, nothing from after the training."""

from __future__ import annotations

import math

from hf_ext.report.history import History, Series

LOG = [
    {"step": 10, "loss": 2.0, "tag_loss": 1.5, "learning_rate": 1e-3, "learning_rate/head": 5e-3},
    {"step": 20, "loss": math.nan, "learning_rate": 9e-4, "learning_rate/head": 4e-3},
    {"step": 20, "eval_loss": 1.0, "eval_f1": 0.5, "eval_tag_loss": 0.4},
    {"step": 30, "loss": 1.0, "learning_rate": 8e-4, "learning_rate/head": None},
    {"step": 30, "train_runtime": 12.0, "train_loss": 1.5},
    {"step": 30, "eval_loss": 0.1, "eval_f1": 0.9},
]


def test_series_hold_finite_numbers_by_rising_steps():
    history = History(LOG)
    assert history
    assert history.series("loss") == Series([10, 30], [2.0, 1.0])
    assert not history.series("no such figure")


def test_what_is_logged_twice_at_a_step_counts_as_the_later_one():
    assert History([{"step": 5, "loss": 3.0}, {"step": 5, "loss": 2.0}]).series("loss") == Series([5], [2.0])


def test_an_evaluation_after_the_training_is_no_point_of_its_curve():
    assert History(LOG).series("eval_f1") == Series([20], [0.5])


def test_it_is_the_only_point_where_nothing_was_evaluated_before():
    log = [entry for entry in LOG if entry.get("eval_f1") != 0.5]
    assert History(log).series("eval_f1") == Series([30], [0.9])


def test_losses_and_rates_go_by_name():
    history = History(LOG)
    assert history.named_losses() == ["tag_loss"]
    assert history.rates() == {"head": Series([10, 20], [5e-3, 4e-3])}
    assert History([{"step": 1, "learning_rate": 0.1}]).rates() == {"all parameters": Series([1], [0.1])}


def test_a_training_too_short_to_log_its_loss_has_its_evaluations():
    assert History([{"step": 5, "eval_loss": 1.0}, {"step": 9, "train_runtime": 1.0}])


def test_an_evaluation_alone_is_no_history_of_a_training():
    assert not History([{"step": 0, "eval_loss": 1.0}])
    assert not History([{"step": 9, "train_runtime": 1.0}, {"step": 9, "eval_loss": 1.0}])
    assert not History([])
