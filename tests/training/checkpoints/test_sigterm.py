"""SIGTERM ends a run with a checkpoint, and the resumed run is bitwise the one that was not interrupted."""

from __future__ import annotations

import signal

import pytest
from checkpoint_runs import Signalled, build_trainer, checkpoint_names, same_weights, train
from forked_runs import in_child
from transformers import TrainingArguments

from hf_ext.training import ExtTrainer
from hf_ext.training.checkpoints.interruption import STATUS
from hf_ext.training.checkpoints.manifest import read_manifest


@pytest.mark.promise("runs ended by SIGTERM")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "step"),
    [("plain", 3), ("plain", 4), ("epochs", 6), ("stopping", 5)],
    ids=["between two checkpoints", "where one is saved anyway", "at the end of an epoch", "between evaluations"],
)
def test_the_step_is_finished_and_a_checkpoint_written(variant, step, tmp_path):
    train(tmp_path / "whole", variant)
    ended = in_child(lambda: train(tmp_path / "ended", variant, callbacks=[Signalled(step)]))
    assert ended == STATUS == 143
    manifest = read_manifest(tmp_path / "ended" / f"checkpoint-{step}")
    assert manifest.interim == (step in (3, 5))
    assert not (tmp_path / "ended" / "model.safetensors").exists()
    train(tmp_path / "ended", variant, resume="last")
    assert same_weights(tmp_path / "ended", tmp_path / "whole")
    assert checkpoint_names(tmp_path / "ended") == checkpoint_names(tmp_path / "whole")


def test_afterwards_the_signal_is_what_it_was(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    build_trainer(tmp_path, max_steps=1).train()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("changes", [{"save_strategy": "no"}, {"enable_jit_checkpoint": True}])
def test_a_run_without_checkpoints_or_with_those_of_transformers_is_left_alone(changes, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert build_trainer(tmp_path, **changes).sigterm is None
    finally:
        signal.signal(signal.SIGTERM, before)


def test_plain_arguments_ask_for_nothing(bert, rows, tmp_path):
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert ExtTrainer(bert, args, train_dataset=rows).sigterm is None
