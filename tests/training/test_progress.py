"""A bar with the losses on a terminal, log lines elsewhere, and nothing where nothing is asked for."""

from __future__ import annotations

import logging
import re

import pytest
from training_models import tiny_bert
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainingArguments
from transformers.trainer_callback import TrainerControl, TrainerState

from hf_ext.training import ExtTrainer
from hf_ext.training.watch import progress
from hf_ext.training.watch.loss_window import LossWindow
from hf_ext.training.watch.progress import LossBar, ProgressLines, describe_losses, describe_results


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress, "has_terminal", lambda: True)


def kinds(trainer):
    return {type(callback) for callback in trainer.callback_handler.callbacks}


def test_on_a_terminal_our_bar_stands_in_the_place_of_trainers(terminal, arguments, bert):
    found = kinds(ExtTrainer(bert, arguments(disable_tqdm=False)))
    assert LossBar in found
    assert not {ProgressCallback, ProgressLines} & found


def test_without_a_terminal_lines_do(arguments, bert, monkeypatch):
    monkeypatch.setattr(progress, "has_terminal", lambda: False)
    found = kinds(ExtTrainer(bert, arguments(disable_tqdm=False)))
    assert ProgressLines in found
    assert not {ProgressCallback, LossBar} & found


def test_nothing_changes_without_tqdm_or_with_plain_arguments(arguments, bert, tmp_path):
    assert PrinterCallback in kinds(ExtTrainer(bert, arguments(disable_tqdm=True)))
    plain = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=False)
    assert ProgressCallback in kinds(ExtTrainer(bert, plain))


@pytest.mark.parametrize("watched", [True, False])
def test_one_bar_shows_loss_mean_and_rate_and_evaluations_leave_one_line(terminal, arguments, rows, capsys, watched):
    args = arguments(
        disable_tqdm=False,
        max_steps=4,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=2,
        stop_on_nonfinite_loss=watched,
        loss_window=2,
    )
    trainer = ExtTrainer(tiny_bert(), args, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    printed = capsys.readouterr()
    last = [part for part in re.split(r"[\r\n]", printed.err) if "4/4" in part][-1]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if watched:  # without the watch the bar knows the last log only
        assert f"loss {losses[-1]:.4g}, mean {sum(losses[-2:]) / 2:.4g}, lr" in last
    assert "it/s" in last
    assert len(re.findall(r"step [24]: eval_loss", printed.err)) == 2
    assert "grad_norm" not in printed.err + printed.out


def test_a_resumed_bar_starts_where_the_run_goes_on(terminal, capsys):
    bar = LossBar(LossWindow(3))
    state = TrainerState(is_world_process_zero=True, global_step=7, max_steps=10)
    bar.on_train_begin(None, state, TrainerControl())
    assert (bar.training_bar.n, bar.training_bar.initial) == (7, 7)
    state.global_step = 8
    bar.on_step_end(None, state, TrainerControl())
    assert bar.training_bar.n == 8
    bar.on_train_end(None, state, TrainerControl())


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="hf_ext.training.watch.progress")
    clock, window = Clock(), LossWindow(2)
    state, control = TrainerState(is_world_process_zero=True, max_steps=100), TrainerControl()
    callback = ProgressLines(window, clock=clock)
    callback.on_train_begin(None, state, control)

    def step(number, seconds, loss, logs=None):
        clock.now, state.global_step = seconds, number
        window.add(loss)
        callback.on_step_end(None, state, control)
        if logs is not None:
            callback.on_log(None, state, control, logs=logs)
        said = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return said

    step.callback, step.state, step.clock = callback, state, clock
    return step


def test_a_line_a_log_and_one_after_half_a_minute(lines):
    assert lines(1, 2.0, 4.0) == []
    assert lines(2, 4.0, 2.0, {"loss": 3.0, "learning_rate": 1e-4}) == [
        "step 2 of 100 (2 %): loss 2, mean 3, lr 0.0001, 0.5 it/s, 0:03:16 left"
    ]
    assert lines(3, 33.9, 1.0) == []
    assert lines(4, 34.0, 1.0) == ["step 4 of 100 (4 %): loss 1, mean 1, 0.118 it/s, 0:13:36 left"]
    assert lines(5, 35.0, 1.0) == []


def test_results_of_an_evaluation_are_one_line_without_timings(lines):
    logs = {"eval_loss": 0.5, "eval_f1": 0.75, "eval_runtime": 1.0, "eval_samples_per_second": 3.0, "epoch": 1.0}
    assert lines(2, 1.0, 1.0, logs) == ["step 2 of 100 (2 %): eval_loss 0.5, eval_f1 0.75"]
    assert lines(3, 2.0, 1.0, {"train_runtime": 3.0, "train_loss": 1.0}) == []


def test_a_long_evaluation_says_where_it_is(lines, caplog):
    lines(1, 1.0, 1.0)
    for seconds in (10.0, 40.0, 41.0):
        lines.clock.now = seconds
        lines.callback.on_prediction_step(None, lines.state, None, eval_dataloader=[0] * 9)
    assert [record.getMessage() for record in caplog.records] == ["step 1 of 100 (1 %): evaluation, batch 2 of 9"]


def test_other_processes_are_silent(lines):
    lines.state.is_world_process_zero = False
    assert lines(2, 100.0, 1.0, {"loss": 3.0}) == []


def test_before_the_first_loss_only_the_rate_is_known():
    assert describe_losses(LossWindow(3), 0.001) == "lr 0.001"
    assert describe_results({"eval_note": "text", "eval_loss": 1.23456}) == "eval_note text, eval_loss 1.235"


def test_an_error_leaves_no_bar_open(terminal, arguments, rows, capsys):
    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            raise RuntimeError("enough")

    trainer = ExtTrainer(tiny_bert(), arguments(disable_tqdm=False), train_dataset=rows, callbacks=[Stop()])
    with pytest.raises(RuntimeError, match="enough"):
        trainer.train()
    (bar,) = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, LossBar)]
    assert bar.training_bar is None
    assert capsys.readouterr().err.endswith("\n")
