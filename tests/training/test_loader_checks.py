"""A training without a row or without a batch is one line, whoever drops the rows."""

from __future__ import annotations

import datasets
import pytest
from torch.utils.data import IterableDataset, SequentialSampler
from training_models import tiny_bert

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer


def refuse(arguments, rows, trainer=ExtTrainer, **changes):
    with pytest.raises(UserError) as caught:
        trainer(tiny_bert(), arguments(**changes), train_dataset=rows).train()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("make", [list, lambda rows: datasets.Dataset.from_list(rows).select([])])
def test_no_rows(arguments, rows, make):
    found = make(rows) if make is not list else []
    assert refuse(arguments, found).startswith("there are no training rows")


def test_rows_that_do_not_fill_a_batch(arguments, rows):
    message = refuse(arguments, rows, dataloader_drop_last=True, per_device_train_batch_size=13)
    assert message.startswith("12 training rows do not fill one batch of 13, and --dataloader_drop_last drops the rest")


def test_a_sampler_that_draws_nothing(arguments, rows):
    class Drained(ExtTrainer):
        def _get_train_sampler(self, train_dataset=None):
            return SequentialSampler([])

    assert refuse(arguments, rows, Drained).startswith("12 training rows give no batch")


def test_exactly_one_batch_and_streams_pass(arguments, rows, bert):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(rows)

    args = arguments(dataloader_drop_last=True, per_device_train_batch_size=12, max_steps=1)
    for data in (rows, Stream()):
        trainer = ExtTrainer(bert, args, train_dataset=data)
        trainer.train()
        assert trainer.state.global_step == 1
