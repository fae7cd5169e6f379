"""A process that dies, or does not answer any more, ends the run; the other does not wait for ever."""

from __future__ import annotations

import os
import signal
import time

import pytest
from forked_runs import in_two_processes
from training_models import tiny_bert
from transformers import TrainerCallback

from hf_ext.training import ExtTrainer, ExtTrainingArguments

TIMEOUT, GONE = 6, 25  # seconds


class Lost(TrainerCallback):
    """Do something in the second step of the second process."""

    def __init__(self, act):
        self.act = act

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1 and args.process_index == 1:
            self.act()


def seconds_until_the_first_ends(folder, act, *, timeout):
    """Train with two processes of which the second is lost; give how long the first goes on, and how both ended."""
    rows = [{"input_ids": [1 + i, 2, 3], "labels": i % 3} for i in range(8)]

    def train(rank):
        args = ExtTrainingArguments(
            str(folder), use_cpu=True, disable_tqdm=True, max_steps=4, save_strategy="no", ddp_timeout=timeout
        )
        trainer = ExtTrainer(tiny_bert(), args, train_dataset=rows, callbacks=[Lost(lambda: (note("lost"), act()))])
        try:
            trainer.train()
        finally:
            if rank == 0:
                note("ended")

    def note(name):
        (folder / name).write_text(str(time.monotonic()))

    statuses = in_two_processes(train)
    return float((folder / "ended").read_text()) - float((folder / "lost").read_text()), statuses


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_at_once(tmp_path):
    seconds, statuses = seconds_until_the_first_ends(
        tmp_path, lambda: os.kill(os.getpid(), signal.SIGKILL), timeout=300
    )
    assert statuses == [1, -signal.SIGKILL]
    assert seconds < 60


@pytest.mark.slow
def test_a_process_that_does_not_answer_ends_the_run_after_ddp_timeout(tmp_path):
    seconds, (status, _) = seconds_until_the_first_ends(tmp_path, lambda: time.sleep(GONE), timeout=TIMEOUT)
    assert status == 1
    assert TIMEOUT - 1 < seconds < GONE


def test_the_timeout_is_a_number_of_seconds(tmp_path):
    assert ExtTrainingArguments(str(tmp_path)).ddp_timeout == 300
    with pytest.raises(ValueError, match="--ddp_timeout"):
        ExtTrainingArguments(str(tmp_path), ddp_timeout=0)
