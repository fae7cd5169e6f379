"""Early stopping by the arguments: patience, threshold, direction, and what a resumed run remembers."""

from __future__ import annotations

import pytest
from training_models import tiny_bert

from hf_ext.training import ExtTrainer


def build(arguments, rows, scores, name="f1", *, steps=20, **changes):
    """Build a trainer whose evaluations, one a step, give these scores."""
    settings = {
        "max_steps": steps,
        "learning_rate": 0.0,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "early_stopping_patience": 2,
        "metric_for_best_model": name,
    }
    args = arguments(**{**settings, **changes})
    trainer = ExtTrainer(tiny_bert(), args, train_dataset=rows, eval_dataset=rows)
    trainer.compute_metrics = lambda prediction: {name: scores[trainer.state.global_step - 1]}
    return trainer


def stopped_at(trainer, **resume):
    trainer.train(**resume)
    return trainer.state.global_step


@pytest.mark.parametrize(
    ("scores", "changes", "step"),
    [
        ([0.1, 0.2, 0.2, 0.1] + 16 * [0.1], {}, 4),  # the best at step 2, then two without gain
        ([0.1, 0.2, 0.1, 0.3, 0.1, 0.1] + 14 * [0.1], {}, 6),  # a gain in between starts the count anew
        ([0.1, 0.15, 0.19] + 17 * [0.2], {"early_stopping_threshold": 0.1}, 3),  # gains below the threshold
        ([0.1, 0.3, 0.5, 0.5] + 16 * [0.5], {"early_stopping_threshold": 0.1}, 5),
        ([0.1] * 20, {"early_stopping_patience": 5}, 6),
    ],
)
def test_the_run_ends_after_patience_evaluations_without_enough_gain(arguments, rows, scores, changes, step):
    assert stopped_at(build(arguments, rows, scores, **changes)) == step


@pytest.mark.parametrize(
    ("name", "changes", "step"),
    [
        ("mse", {}, 5),  # 3, 2, 1, 4, 5: falls until step 3
        ("f1", {}, 3),  # the same numbers as scores: the first is never bettered until then
        ("mse", {"greater_is_better": True}, 3),
        ("f1", {"greater_is_better": False}, 5),
    ],
)
def test_the_direction_follows_from_the_name_unless_it_is_given(arguments, rows, name, changes, step):
    assert stopped_at(build(arguments, rows, [3.0, 2.0, 1.0, 4.0, 5.0, 6.0] + 14 * [9.0], name, **changes)) == step


@pytest.mark.parametrize("interrupted", [1, 2, 3, 4])
def test_an_interrupted_and_resumed_run_stops_where_the_uninterrupted_one_does(arguments, rows, tmp_path, interrupted):
    scores = [0.1, 0.5, 0.4, 0.4, 0.4, 0.6] + 14 * [0.7]
    settings = {"save_strategy": "steps", "save_steps": 1, "early_stopping_patience": 3}
    whole = stopped_at(build(arguments, rows, scores, **settings))
    build(arguments, rows, scores, steps=interrupted, **settings).train()
    checkpoint = str(tmp_path / "out" / f"checkpoint-{interrupted}")
    resumed = build(arguments, rows, scores, **settings)
    assert whole == stopped_at(resumed, resume_from_checkpoint=checkpoint) == 5


def test_a_resumed_run_takes_patience_and_threshold_from_its_own_arguments(arguments, rows, tmp_path):
    scores = [0.5] + 19 * [0.4]
    settings = {"save_strategy": "steps", "save_steps": 1}
    build(arguments, rows, scores, steps=2, early_stopping_patience=3, **settings).train()
    checkpoint = str(tmp_path / "out" / "checkpoint-2")
    resumed = build(arguments, rows, scores, early_stopping_patience=6, early_stopping_threshold=0.3, **settings)
    assert stopped_at(resumed, resume_from_checkpoint=checkpoint) == 1 + 6
    (stopper,) = [c for c in resumed.callback_handler.callbacks if "EarlyStopping" in type(c).__name__]
    assert stopper.early_stopping_threshold == 0.3
