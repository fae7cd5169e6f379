"""Tokens and seconds of each phase of a trainer."""

from __future__ import annotations

import time

import pytest
import torch
from training_models import tiny_bert

from hf_ext.training import ExtTrainer
from hf_ext.training.watch.cost import PhaseCost, RunCost

ROWS = [
    {"input_ids": [1] * n + [0] * (6 - n), "attention_mask": [1] * n + [0] * (6 - n), "labels": 0} for n in range(1, 7)
]
REAL, PADDED = 21, 36


def test_every_phase_counts_its_own_tokens(arguments):
    args = arguments(max_steps=-1, num_train_epochs=2, eval_strategy="epoch", per_device_train_batch_size=4)
    trainer = ExtTrainer(tiny_bert(), args, train_dataset=ROWS, eval_dataset=ROWS)
    trainer.train()
    trainer.predict(ROWS)
    found = trainer.cost.totals()
    assert list(found) == ["train", "evaluate", "predict"]
    assert [cost.tokens for cost in found.values()] == [2 * REAL, 2 * REAL, REAL]
    assert [cost.padded_tokens for cost in found.values()] == [2 * PADDED, 2 * PADDED, PADDED]
    assert found["train"].padding == pytest.approx(PADDED / REAL)
    assert found["train"].tokens_per_second == pytest.approx(2 * REAL / found["train"].seconds)


def test_passes_of_a_method_count_once(arguments):
    trainer = ExtTrainer(
        tiny_bert(), arguments(adversarial="fgm", rdrop_alpha=1.0, per_device_train_batch_size=6), train_dataset=ROWS
    )
    trainer.train()
    assert trainer.cost.totals()["train"].tokens == 2 * REAL


def test_the_seconds_of_a_phase_inside_of_another_are_its_own(bert, arguments):
    cost = RunCost(ExtTrainer(bert, arguments()))
    with cost.phase("train"):
        time.sleep(0.02)
        with cost.phase("evaluate"):
            time.sleep(0.2)
    assert cost.seconds["evaluate"] >= 0.2
    assert 0.02 <= cost.seconds["train"] < 0.2


def test_what_is_no_token_is_not_counted(bert, arguments):
    cost = RunCost(ExtTrainer(bert, arguments()))
    cost.see({"input_ids": torch.ones(2, 3)})  # outside of any phase
    with cost.phase("train"):
        cost.see({"features": torch.ones(2, 3)})
        cost.see({"input_ids": torch.ones(2, 3)})
        cost.see({"input_ids": torch.ones(1, 3), "attention_mask": torch.ones(1, 3, 3)})  # who sees whom
    assert cost.totals()["train"].tokens == cost.totals()["train"].padded_tokens == 9


def test_nothing_costs_nothing():
    assert (PhaseCost(0.0, 0, 0).tokens_per_second, PhaseCost(1.0, 0, 0).padding) == (0.0, 1.0)


def test_layers_of_a_packed_encoder_compute_on_no_padding(arguments):
    trainer = ExtTrainer(
        tiny_bert(), arguments(length_strategy="pack", per_device_train_batch_size=6), train_dataset=ROWS
    )
    trainer.train()
    cost = trainer.cost.totals()["train"]
    assert cost.tokens == cost.padded_tokens == 2 * REAL
