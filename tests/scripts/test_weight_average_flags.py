"""The two averages of weights as flags of the script: what is saved is the average."""

from __future__ import annotations

import pytest
import torch
from reviews import review_rows
from safetensors.torch import load_file
from scripts.support import TRAIN, read_json, run_main, write_csv

from hf_ext.errors import UserError

SCRATCH = ("--model_type", "textcnn", "--embedding_size", "16", "--filter_num", "8", "--filter_sizes", "2,3")
SCRATCH += ("--learning_rate", "1e-2", "--per_device_train_batch_size", "8")
SAVED = ("--max_steps", "6", "--save_strategy", "steps", "--save_steps", "2")


@pytest.fixture
def run(tmp_path):
    path = write_csv(tmp_path / "rows.csv", review_rows(48))
    files = ("--train_file", path, "--validation_file", path, "--test_file", path)
    folders = ("--output_dir", tmp_path / "out", "--cache_dir", tmp_path / "cache")
    return lambda *argv: run_main(*files, *TRAIN, *folders, *SCRATCH, *SAVED, *argv)


def test_ema_decay_saves_the_moving_average(run, tmp_path):
    run("--ema_decay", "0.5", "--eval_strategy", "steps", "--eval_steps", "2")
    saved = load_file(tmp_path / "out" / "model.safetensors")
    average = load_file(tmp_path / "out" / "checkpoint-6" / "ema.safetensors")
    own = load_file(tmp_path / "out" / "checkpoint-6" / "model.safetensors")
    assert average
    for name, value in average.items():
        assert torch.equal(saved[name], value)
    assert any(not torch.equal(own[name], value) for name, value in average.items())
    log = read_json(tmp_path / "out" / "trainer_state.json")["log_history"]
    last = [entry["eval_loss"] for entry in log if entry.get("step") == 6 and "eval_loss" in entry]
    final = read_json(tmp_path / "out" / "eval_results.json")["eval_loss"]
    assert last == [pytest.approx(final, rel=1e-6)]


def test_average_checkpoints_saves_their_mean(run, tmp_path):
    run("--average_checkpoints", "2")
    saved = load_file(tmp_path / "out" / "model.safetensors")
    files = [load_file(tmp_path / "out" / f"checkpoint-{step}" / "model.safetensors") for step in (4, 6)]
    for name, value in saved.items():
        expected = (files[0][name].double() + files[1][name].double()) / 2
        assert torch.equal(value, expected.to(value.dtype))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--average_checkpoints", "9"], r"this run ends with 3 checkpoint\(s\)"),
        (["--average_checkpoints", "2", "--save_strategy", "no"], "needs checkpoints"),
        (["--ema_decay", "1.5"], "between 0 and 1"),
    ],
)
def test_averages_that_cannot_be_had_are_one_line(run, flags, words):
    with pytest.raises(UserError, match=words) as caught:
        run(*flags)
    assert "\n" not in str(caught.value)
