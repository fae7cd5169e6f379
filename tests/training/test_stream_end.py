"""A stream that is too short for the run is read again, and that is told once."""

from __future__ import annotations

import pytest
from datasets import Dataset, IterableDataset
from training_models import tiny_bert

from hf_ext.training import ExtTrainer


def train(arguments, data, **changes):
    ExtTrainer(tiny_bert(), arguments(per_device_train_batch_size=4, **changes), train_dataset=data).train()


@pytest.mark.parametrize(("steps", "lines"), [(3, 0), (4, 1), (8, 1)])
def test_a_stream_of_three_batches(arguments, rows, caplog, steps, lines):
    train(arguments, IterableDataset.from_generator(lambda: iter(rows)), max_steps=steps)
    told = [record.getMessage() for record in caplog.records if "training stream has ended" in record.getMessage()]
    assert len(told) == lines
    for line in told:
        assert f"before step 4 of {steps}" in line


def test_epochs_over_rows_in_memory_are_nothing_new(arguments, rows, caplog):
    train(arguments, Dataset.from_list(rows), max_steps=7)
    assert "training stream" not in caplog.text
