"""Lengths come from the offsets of the table, whatever was selected or shuffled."""

from __future__ import annotations

import datasets
import pytest
import torch

from hf_ext.training.batching.lengths import measure_rows, read_lengths

ROWS = [{"input_ids": list(range(n)), "labels": 0} for n in (3, 0, 7, 1, 7)]


class Rows(torch.utils.data.Dataset):
    """Rows that are made when they are asked for."""

    def __len__(self):
        return len(ROWS)

    def __getitem__(self, i):
        return ROWS[i]


@pytest.fixture
def table():
    return datasets.Dataset.from_list(ROWS)


def test_lengths_are_those_of_the_rows(table):
    expected = [len(row["input_ids"]) for row in ROWS]
    assert read_lengths(table).tolist() == expected
    assert read_lengths(table.with_format("torch")).tolist() == expected
    assert read_lengths(datasets.concatenate_datasets([table, table])).tolist() == 2 * expected
    assert read_lengths(ROWS).tolist() == expected


def test_selected_and_shuffled_rows_have_their_own_lengths(table):
    for view in (table.select([4, 0, 1]), table.shuffle(seed=1), table.select(range(1, 4)), table.shard(2, 1)):
        assert read_lengths(view).tolist() == [len(row["input_ids"]) for row in view]


def test_no_row_is_read(table, monkeypatch):
    monkeypatch.setattr(datasets.Dataset, "__getitem__", lambda *_: pytest.fail("a row was read"))
    assert read_lengths(table).tolist() == [3, 0, 7, 1, 7]


def test_a_column_of_lengths_is_taken_if_it_counts(table):
    assert read_lengths(table.add_column("length", [9, 8, 7, 6, 5])).tolist() == [9, 8, 7, 6, 5]
    assert read_lengths(table.add_column("length", ["a"] * 5)).tolist() == [3, 0, 7, 1, 7]
    assert read_lengths(table.add_column("size", [9, 8, 7, 6, 5]), column="size").tolist() == [9, 8, 7, 6, 5]


def test_other_rows_are_measured_only_when_that_is_asked_for(table):
    assert read_lengths(Rows()) is None
    assert measure_rows(Rows()).tolist() == [3, 0, 7, 1, 7]


def test_rows_without_tokens_have_no_lengths(table):
    assert read_lengths(table.remove_columns("input_ids")) is None
    assert read_lengths([{"x": 1}]) is None
    assert read_lengths([]) is None
    assert measure_rows([{"x": 1}]) is None
    assert read_lengths(datasets.IterableDataset.from_generator(lambda: iter(ROWS))) is None
