from __future__ import annotations

import batching_cases as cases
import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from training_models import tiny_bert

from hf_ext.data.collators import ClassificationCollator
from hf_ext.tokenization import build_tokenizer
from hf_ext.training import ExtTrainer
from hf_ext.training.batching.table_rows import TableRows, hand_out_tables, takes_tables

EPOCHS = {"max_steps": -1, "num_train_epochs": 2, "save_strategy": "no"}


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["a text"], min_count=1, model_max_length=64)


@pytest.fixture(scope="module")
def rows():
    made = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in cases.build_rows(holes=False)]
    return datasets.Dataset.from_list(made).shuffle(seed=2)


class RowsOnly:
    """Make the same batches, and take nothing but a list of rows."""

    def __init__(self, collate):
        self.collate = collate

    def __call__(self, rows):
        assert isinstance(rows, list)
        assert isinstance(rows[0], dict)
        return self.collate(rows)


class TablesOnly(RowsOnly):
    takes_tables = True

    def __call__(self, table):
        assert isinstance(table, pa.Table)
        return self.collate(table)


def run(collate, rows, folder, *, resume_at=None, **flags):
    """Train; give the rows of each batch and all weights as one vector."""
    model = tiny_bert()  # with dropout: a wrong random state would show
    trainer = cases.Recording(model, cases.settings(folder, **flags), train_dataset=rows, data_collator=collate)
    trainer.train(resume_from_checkpoint=resume_at and str(folder / f"checkpoint-{resume_at}"))
    return trainer.seen, torch.cat([weights.detach().flatten() for weights in model.parameters()])


def test_every_row_and_every_batch_is_that_of_the_data_set(rows):
    tables = TableRows(rows.data, info=rows.info, indices_table=rows._indices)
    assert list(tables) == list(rows)
    assert tables[3] == rows[3]
    assert len(tables) == len(rows)
    for picked in ([4, 5, 6], [9, 2, 2, 0], np.array([7, 1])):
        assert tables.__getitems__(picked).to_pylist() == rows.__getitems__(picked)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"train_sampling_strategy": "sequential"},
        {"dataloader_drop_last": True},
        {"remove_unused_columns": False},
        {"dataloader_num_workers": 2},
        *cases.STRATEGIES.values(),
    ],
    ids=str,
)
def test_training_does_not_change_by_a_bit(rows, tokenizer, tmp_path, flags):
    collate = ClassificationCollator(tokenizer)
    seen, weights = run(TablesOnly(collate), rows, tmp_path, **EPOCHS, **flags)
    expected_seen, expected_weights = run(RowsOnly(collate), rows, tmp_path, **EPOCHS, **flags)
    assert seen == expected_seen
    assert torch.equal(weights, expected_weights)


def test_resuming_is_going_on(rows, tokenizer, tmp_path):
    collate = TablesOnly(ClassificationCollator(tokenizer))
    seen, weights = run(collate, rows, tmp_path)
    later, resumed = run(collate, rows, tmp_path, resume_at=cases.SAVED_STEPS[1])
    assert later == seen[cases.SAVED_STEPS[1] :]
    assert torch.equal(resumed, weights)


def test_answers_and_metrics_do_not_change(rows, tokenizer, tmp_path):
    found = []
    for kind in (TablesOnly, RowsOnly):
        collate = kind(ClassificationCollator(tokenizer))
        trainer = ExtTrainer(tiny_bert(), cases.settings(tmp_path), eval_dataset=rows, data_collator=collate)
        found.append((trainer.evaluate()["eval_loss"], trainer.predict(rows.remove_columns("labels")).predictions))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_columns_that_the_model_does_not_take_are_removed_before(rows, tokenizer, tmp_path):
    names = []

    class Noting(ClassificationCollator):
        takes_tables = True

        def __call__(self, table):
            names.append(table.column_names)
            return super().__call__(table)

    with_stray = rows.add_column("stray", ["x"] * len(rows))
    run(Noting(tokenizer), with_stray, tmp_path, max_steps=1, save_strategy="no")
    assert sorted(names[0]) == ["attention_mask", "input_ids", "labels"]


def test_who_takes_tables(tokenizer):
    class Renamed(ClassificationCollator):
        pass

    class Own(ClassificationCollator):
        def __call__(self, rows):
            return super().__call__([{"input_ids": row["input_ids"]} for row in rows])

    assert takes_tables(ClassificationCollator(tokenizer))
    assert takes_tables(Renamed(tokenizer))
    for collate in (Own(tokenizer), RowsOnly(len), cases.collate, len, None):
        assert not takes_tables(collate)


def test_data_sets_whose_cells_are_not_those_of_the_table_stay_as_they_are(rows, tokenizer):
    collate = ClassificationCollator(tokenizer)
    stream = rows.to_iterable_dataset()
    transformed = rows.with_transform(lambda batch: {"input_ids": [[1] for _ in batch["input_ids"]]})
    hidden = rows.with_format("numpy", columns=["input_ids"])
    for kept in (stream, transformed, hidden, list(rows), hand_out_tables(rows, collate)):
        assert hand_out_tables(kept, collate) is kept
    assert hand_out_tables(rows, cases.collate) is rows
    for given in (rows, rows.with_format("torch"), rows.with_format("numpy")):
        assert type(hand_out_tables(given, collate)) is TableRows
