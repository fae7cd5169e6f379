"""A loss that is not finite stops the run before the weights move, and the rows behind it are named."""

from __future__ import annotations

import math

import datasets
import loss_watch_cases as cases
import pytest
import torch
from forked_runs import succeed_in_two_processes
from torch.utils.data import IterableDataset
from training_models import tiny_bert
from transformers import TrainerCallback, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer, NonFiniteLossError
from hf_ext.training.checkpoints.manifest import MANIFEST, write_manifest
from hf_ext.training.watch.loss_watch import last_good_checkpoint
from hf_ext.training.watch.loss_window import LossWindow


class Recorder(TrainerCallback):
    """Copy the weights at the beginning of each step."""

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}


class Poison(TrainerCallback):
    """Make a weight NaN before a step, as an overflow in the step before would."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == self.step:
            model.classifier.weight.data.fill_(math.nan)


def stop(trainer):
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.train()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UserError)
    return caught.value


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("steps", "batch", "step", "in_batch"), [(1, 4, 2, [4, 5, 6, 7]), (2, 2, 2, [6, 7])])
def test_the_run_stops_at_that_step_with_the_rows_and_untouched_weights(arguments, value, steps, batch, step, in_batch):
    args = arguments(
        max_steps=3, per_device_train_batch_size=batch, gradient_accumulation_steps=steps, learning_rate=1e-2
    )
    model, record = cases.poisoned_model(value), Recorder()
    trainer = cases.InOrder(model, args, train_dataset=cases.bad_rows([6]), callbacks=[record])
    error = stop(trainer)
    assert error.rows == in_batch  # of the micro-batch that is bad
    assert error.alone == [6]
    assert f"at step {step};" in str(error)
    assert "bad by themselves: 6" in str(error)
    assert "there is no checkpoint yet" in str(error)
    assert trainer.state.global_step == step - 1
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, record.weights[name])
        assert parameter.isfinite().all()


def test_when_every_row_is_bad_the_rows_are_not_to_blame(arguments):
    trainer = ExtTrainer(cases.poisoned_model(), arguments(), train_dataset=cases.bad_rows(range(12)))
    error = stop(trainer)
    assert error.alone == error.rows
    assert "lower --learning_rate, look for extreme numbers in the data" in str(error)


def test_module_modes_are_as_before_the_rows_were_tried(arguments):
    model = cases.poisoned_model()
    trainer = ExtTrainer(model, arguments(), train_dataset=cases.bad_rows(range(12)))
    stop(trainer)
    assert model.training


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffled_rows_of_any_length_are_found_by_what_they_hold_and_named_by_their_id(arguments, workers):
    rows = cases.bad_rows([9])
    for i, row in enumerate(rows):
        row["input_ids"] = row["input_ids"][: 3 + i % 4]
        row["attention_mask"] = [1] * len(row["input_ids"])
        row["id"] = f"r{i}"
    data = datasets.Dataset.from_list(rows)

    def collate(batch):
        longest = max(len(row["input_ids"]) for row in batch)
        pad = {
            name: [row[name] + [0] * (longest - len(row[name])) for row in batch] for name in batch[0] if "i" in name
        }
        return {name: torch.tensor(v) for name, v in pad.items()} | {
            "labels": torch.tensor([row["labels"] for row in batch])
        }

    args = arguments(max_steps=10, per_device_train_batch_size=3, dataloader_num_workers=workers)
    error = stop(ExtTrainer(cases.poisoned_model(), args, train_dataset=data, data_collator=collate))
    assert error.alone == [9]
    assert len(error.rows) == 3
    assert "9 (id 'r9')" in str(error)


def write_checkpoint(folder):
    folder.mkdir()
    (folder / "weights").write_bytes(b"weights")
    write_manifest(folder, step=1, run="r", fingerprint={})


def test_the_newest_checkpoint_is_named(arguments, tmp_path):
    args = arguments(max_steps=3, per_device_train_batch_size=4, save_strategy="steps", save_steps=1)
    error = stop(cases.InOrder(cases.poisoned_model(), args, train_dataset=cases.bad_rows([8])))
    assert f"the last good checkpoint is {tmp_path / 'out' / 'checkpoint-2'}" in str(error)


def test_a_checkpoint_with_broken_weights_is_not_called_good(arguments, rows, tmp_path):
    args = arguments(max_steps=6, save_strategy="steps", save_steps=1)

    class Late(Poison):
        def on_optimizer_step(self, args, state, control, model=None, **kwargs):
            if state.global_step == self.step:  # this step's checkpoint is saved with it
                model.classifier.weight.data.fill_(math.nan)

        def on_step_begin(self, args, state, control, **kwargs):
            pass

    error = stop(ExtTrainer(tiny_bert(), args, train_dataset=rows, callbacks=[Late(1)]))
    assert (tmp_path / "out" / "checkpoint-2").is_dir()
    assert f"the last good checkpoint is {tmp_path / 'out' / 'checkpoint-1'}" in str(error)
    assert "the weights were not finite any more before it" in str(error)
    assert error.alone == []  # no row is to blame
    assert "resume from a good checkpoint" in str(error)


def test_checkpoints_of_later_steps_are_another_runs(tmp_path):
    for name in ("checkpoint-2", "checkpoint-30", "checkpoint-best"):
        write_checkpoint(tmp_path / name)
    assert last_good_checkpoint(tmp_path, 12) == tmp_path / "checkpoint-2"
    assert last_good_checkpoint(tmp_path, 1) is None


@pytest.mark.parametrize("damage", ["a byte", "no manifest"])
def test_a_checkpoint_that_is_not_whole_is_not_called_good(tmp_path, damage):
    for name in ("checkpoint-1", "checkpoint-2"):
        write_checkpoint(tmp_path / name)
    if damage == "a byte":
        (tmp_path / "checkpoint-2" / "weights").write_bytes(b"weighTs")
    else:
        (tmp_path / "checkpoint-2" / MANIFEST).unlink()
    assert last_good_checkpoint(tmp_path, 12) == tmp_path / "checkpoint-1"


def test_a_batch_without_any_label_says_so(arguments):
    rows = [{**row, "labels": -100} for row in cases.bad_rows([])]
    error = stop(ExtTrainer(tiny_bert(), arguments(), train_dataset=rows))
    assert "no row of the batch has a label" in str(error)
    assert error.alone == []


class Streamed(IterableDataset):
    def __iter__(self):
        return iter(cases.bad_rows([1]))


def test_streamed_rows_cannot_be_named_but_the_step_can(arguments):
    error = stop(ExtTrainer(cases.poisoned_model(), arguments(), train_dataset=Streamed()))
    assert "at step 1;" in str(error)
    assert "not found in the training data" in str(error)
    assert error.rows == []


class Moody(torch.utils.data.Dataset):
    """A data set that works for the loader only."""

    def __init__(self):
        self.rows, self.reads = cases.bad_rows([0], count=4), 0

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.reads += 1
        if self.reads > len(self.rows):
            raise OSError("gone")
        return self.rows[i]


def test_a_look_up_that_fails_does_not_hide_the_loss(arguments):
    args = arguments(max_steps=1, per_device_train_batch_size=4)
    error = stop(ExtTrainer(cases.poisoned_model(), args, train_dataset=Moody()))
    assert "the training loss is nan at step 1; the rows could not be looked up: OSError" in str(error)


def test_plain_arguments_and_the_flag_switch_the_watch_off(arguments, rows, tmp_path):
    plain = TrainingArguments(output_dir=str(tmp_path / "plain"), use_cpu=True)
    assert ExtTrainer(tiny_bert(), plain).loss_watch is None
    args = arguments(stop_on_nonfinite_loss=False, logging_steps=1)
    output = ExtTrainer(tiny_bert(), args, train_dataset=rows, callbacks=[Poison(0)]).train()
    assert math.isnan(output.training_loss)


@pytest.mark.parametrize("name", ["loss", "train_loss"])
def test_the_logged_losses_are_judged_too(arguments, bert, name):
    trainer = ExtTrainer(bert, arguments())
    with pytest.raises(NonFiniteLossError, match="the training loss is inf at step 0"):
        trainer.loss_watch.on_log(trainer.args, trainer.state, trainer.control, logs={name: math.inf})


@pytest.mark.parametrize("logs", [None, {}, {"loss": 0.5}, {"eval_loss": math.nan}, {"grad_norm": math.inf}])
def test_nothing_but_the_training_loss_is_judged(arguments, bert, logs):
    trainer = ExtTrainer(bert, arguments())
    trainer.loss_watch.on_log(trainer.args, trainer.state, trainer.control, logs=logs)


def test_gradients_that_overflow_do_not_stop_a_run(arguments, rows, bert):
    bert.classifier.weight.register_hook(lambda gradient: torch.full_like(gradient, math.inf))
    args = arguments(max_steps=1)
    assert math.isfinite(ExtTrainer(bert, args, train_dataset=rows).train().training_loss)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_window_holds_the_losses_that_trainer_logs(arguments, rows, bert, steps):
    args = arguments(
        max_steps=4,
        logging_steps=1,
        loss_window=3,
        per_device_train_batch_size=3,
        gradient_accumulation_steps=steps,
    )
    trainer = ExtTrainer(bert, args, train_dataset=rows)
    trainer.train()
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert list(trainer.loss_watch.window.losses) == pytest.approx(logged[-3:], rel=1e-6)
    assert trainer.loss_watch.window.mean == pytest.approx(sum(logged[-3:]) / 3, rel=1e-6)


def test_a_window_that_reads_the_logs_counts_every_step_since_the_last():
    class State:
        global_step = 0

    window = LossWindow(4, from_logs=True)
    window.on_train_begin(None, State, None)
    for step, loss in [(3, 1.0), (5, 2.0)]:
        State.global_step = step
        window.on_log(None, State, None, logs={"loss": loss})
    assert list(window.losses) == [1.0, 1.0, 2.0, 2.0]
    assert (window.last, window.mean) == (2.0, 1.5)


def test_an_empty_window_has_no_loss():
    assert (LossWindow(2).last, LossWindow(2).mean) == (None, None)


@pytest.mark.slow
def test_all_processes_stop_together_when_one_has_the_bad_row(tmp_path):
    succeed_in_two_processes(cases.main, str(tmp_path))
    first, second = ((tmp_path / f"outcome-{rank}.txt").read_text() for rank in (0, 1))
    assert first == second
    assert first.startswith("[6, 7] [6] True the training loss is nan at step 2;")
    assert f"the last good checkpoint is {tmp_path / 'checkpoint-1'}" in first
