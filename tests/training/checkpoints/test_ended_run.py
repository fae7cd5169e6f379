"""What happens to a run that is resumed from its last step."""

from __future__ import annotations

import logging

import pytest
from checkpoint_runs import STEPS, build_trainer, same_weights, train
from transformers import TrainerCallback

LINE = f"The run had ended at step {STEPS}; nothing is left to train."


def test_a_run_that_has_ended_takes_no_further_step(tmp_path, caplog):
    train(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        again = build_trainer(tmp_path / "run")
        outcome = again.train(resume_from_checkpoint="last")
    again.save_model(str(tmp_path / "again"))
    assert outcome.global_step == STEPS
    assert LINE in caplog.messages
    assert same_weights(tmp_path / "again", tmp_path / "run")


def test_with_more_steps_it_goes_on(tmp_path, caplog):
    train(tmp_path / "run")
    resumed = train(tmp_path / "run", resume="last", max_steps=STEPS + 3)
    assert resumed.state.global_step == STEPS + 3
    assert LINE not in caplog.messages


@pytest.mark.slow
def test_an_early_stop_is_an_end(tmp_path):
    soon = {"early_stopping_patience": 1, "early_stopping_threshold": 10.0}  # nothing is ever that much better
    stopped = train(tmp_path / "run", "stopping", **soon)
    resumed = train(tmp_path / "run", "stopping", resume="last", **soon)
    assert resumed.state.global_step == stopped.state.global_step < STEPS


class StopAtThree(TrainerCallback):
    """As a time limit stops a run."""

    def on_step_end(self, args, state, control, **kwargs):
        """Ask for the end behind step 3."""
        control.should_training_stop = control.should_training_stop or state.global_step == 3


def test_a_stop_by_another_callback_is_none(tmp_path, caplog):
    train(tmp_path / "run", callbacks=[StopAtThree()], save_strategy="steps", save_steps=1)
    resumed = train(tmp_path / "run", resume="last")
    assert resumed.state.global_step == STEPS
    assert LINE not in caplog.messages


@pytest.mark.slow
def test_more_patience_goes_on(tmp_path):
    soon = {"early_stopping_patience": 1, "early_stopping_threshold": 10.0}
    stopped = train(tmp_path / "run", "stopping", **soon)
    resumed = train(tmp_path / "run", "stopping", resume="last", **soon | {"early_stopping_patience": 2})
    assert resumed.state.global_step > stopped.state.global_step
