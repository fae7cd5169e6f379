"""Two equal runs end with bitwise equal weights; another seed does not."""

from __future__ import annotations

import os

import pytest
import torch
from training_models import SIZES
from transformers import BertConfig, BertForSequenceClassification

from hf_ext.training import ExtTrainer


@pytest.fixture(autouse=True)
def leave_no_trace():
    """Full determinism sets switches of the whole process; put them back."""
    before = torch.are_deterministic_algorithms_enabled(), dict(os.environ)
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.deterministic = False
    os.environ.clear()
    os.environ.update(before[1])


def train(arguments, rows, **changes):
    """Train a model with dropout on shuffled rows and give its weights as one vector."""
    args = arguments(max_steps=6, learning_rate=1e-2, per_device_train_batch_size=2, **changes)
    trainer = ExtTrainer(None, args, model_init=build, train_dataset=rows)
    trainer.train()
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def build():
    return BertForSequenceClassification(BertConfig(**SIZES, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_equal_seeds_give_bitwise_equal_weights_and_others_do_not(arguments, rows, workers, full):
    settings = {"dataloader_num_workers": workers, "full_determinism": full}
    first = train(arguments, rows, seed=7, **settings)
    torch.rand(5)  # whatever was drawn in between
    assert torch.equal(first, train(arguments, rows, seed=7, **settings))
    assert not torch.equal(first, train(arguments, rows, seed=8, **settings))


def test_workers_do_not_change_the_weights(arguments, rows):
    first, second = (train(arguments, rows, seed=7, dataloader_num_workers=workers) for workers in (0, 2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("steps", [1, 2])
def test_neither_watch_nor_log_nor_progress_change_the_weights(arguments, rows, steps):
    settings = {"gradient_accumulation_steps": steps, "logging_steps": 1}
    watched = train(arguments, rows, **settings)
    plain = train(arguments, rows, stop_on_nonfinite_loss=False, write_train_log=False, **settings)
    assert torch.equal(watched, plain)
