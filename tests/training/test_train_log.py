"""train_log.jsonl is the history of one run: every log a line, replaced by a new run, cut by a resumed one."""

from __future__ import annotations

import json
import math
from datetime import datetime

import numpy as np
import pytest
import torch
from training_models import tiny_bert
from transformers import TrainerCallback, TrainingArguments

from hf_ext.training import ExtTrainer
from hf_ext.training.watch.loss_window import LossWindow
from hf_ext.training.watch.train_log import TRAIN_LOG, TrainLog


def read(folder):
    return [json.loads(line) for line in (folder / TRAIN_LOG).read_text(encoding="utf-8").splitlines()]


def train(arguments, rows, *, resume=None, callbacks=(), **changes):
    settings = {"max_steps": 4, "logging_steps": 1, "eval_strategy": "steps", "eval_steps": 2, "loss_window": 2}
    args = arguments(**{**settings, **changes})
    trainer = ExtTrainer(tiny_bert(), args, train_dataset=rows, eval_dataset=rows, callbacks=list(callbacks))
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_every_log_is_a_line_with_step_epoch_time_and_losses(arguments, rows, tmp_path):
    trainer = train(arguments, rows)
    lines, history = read(tmp_path / "out"), trainer.state.log_history
    assert len(lines) == len(history)
    for line, entry in zip(lines, history, strict=True):
        entry.pop("total_flos", None)  # taken out of what callbacks get by transformers' PrinterCallback
        assert {name: line[name] for name in entry} == entry
        assert list(line)[:3] == ["step", "epoch", "time"]
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
    losses = [line["loss"] for line in lines if "loss" in line]
    assert [line["loss_step"] for line in lines if "loss" in line] == pytest.approx(losses, rel=1e-6)
    means = [losses[0]] + [sum(losses[i : i + 2]) / 2 for i in range(3)]
    assert [line["loss_mean"] for line in lines if "loss" in line] == pytest.approx(means, rel=1e-6)
    assert not any("loss_step" in line for line in lines if "eval_loss" in line)


def test_each_line_is_on_disk_at_once(arguments, rows, tmp_path):
    counts = []

    class Count(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            counts.append(len(read(tmp_path / "out")))

    train(arguments, rows, callbacks=[Count()], eval_strategy="no")
    assert counts == [0, 1, 2, 3]


def test_evaluations_after_the_training_belong_to_it(arguments, rows, tmp_path):
    trainer = train(arguments, rows)
    trainer.evaluate()
    assert read(tmp_path / "out")[-1]["step"] == 4
    assert "eval_loss" in read(tmp_path / "out")[-1]


def test_a_new_run_replaces_the_file(arguments, rows, tmp_path):
    train(arguments, rows)
    train(arguments, rows, max_steps=1, eval_strategy="no")
    assert [line["step"] for line in read(tmp_path / "out")] == [1, 1]


def test_a_resumed_run_cuts_what_came_after_its_step_and_a_torn_line(arguments, rows, tmp_path):
    train(arguments, rows, save_strategy="steps", save_steps=2)
    whole = read(tmp_path / "out")
    with (tmp_path / "out" / TRAIN_LOG).open("a", encoding="utf-8") as file:
        file.write('{"step": 1, "los')
    train(arguments, rows, resume=str(tmp_path / "out" / "checkpoint-2"), save_strategy="steps", save_steps=2)
    resumed = read(tmp_path / "out")
    assert [line["step"] for line in resumed] == [line["step"] for line in whole]
    assert resumed[:3] == whole[:3]  # two steps and an evaluation, with their times
    assert [line.get("loss_step") for line in resumed] == [line.get("loss_step") for line in whole]
    assert not list((tmp_path / "out").glob(".*.tmp"))


def test_resuming_into_another_folder_begins_a_file_there(arguments, rows, tmp_path):
    train(arguments, rows, save_strategy="steps", save_steps=2)
    other = str(tmp_path / "other")
    train(arguments, rows, resume=str(tmp_path / "out" / "checkpoint-2"), output_dir=other)
    assert read(tmp_path / "other")[0]["step"] == 3


class State:
    is_world_process_zero, global_step, epoch = True, 0, 0.5


def test_what_json_cannot_say_becomes_null_or_text(arguments, tmp_path):
    log = TrainLog(LossWindow(2))
    log.on_train_begin(arguments(), State, None)
    found = {
        "a": math.nan,
        "b": [np.float32(1.5), -math.inf],
        "c": torch.tensor(2),
        "d": {"é": np.int64(3)},
        "e": State,
    }
    log.on_log(None, State, None, logs=found)
    log.on_log(None, State, None, logs=None)
    (line,) = read(tmp_path / "out")
    assert (line["a"], line["b"], line["c"], line["d"]) == (None, [1.5, None], 2, {"é": 3})
    assert isinstance(line["e"], str)


def test_other_processes_write_nothing(arguments, tmp_path):
    class Second(State):
        is_world_process_zero = False

    log = TrainLog(LossWindow(2))
    log.on_train_begin(arguments(), Second, None)
    log.on_log(None, Second, None, logs={"loss": 1.0})
    assert not (tmp_path / "out" / TRAIN_LOG).exists()


def test_no_file_without_training_with_the_flag_off_or_with_plain_arguments(arguments, rows, tmp_path):
    ExtTrainer(tiny_bert(), arguments(), eval_dataset=rows).evaluate()
    train(arguments, rows, write_train_log=False)
    plain = TrainingArguments(output_dir=str(tmp_path / "out"), use_cpu=True, disable_tqdm=True, max_steps=1)
    ExtTrainer(tiny_bert(), plain, train_dataset=rows).train()
    assert not (tmp_path / "out" / TRAIN_LOG).exists()
