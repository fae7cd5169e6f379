"""Rows of a batch are found in the data set by what they hold."""

from __future__ import annotations

import datasets
import pytest
import torch

from hf_ext.training.watch.batch_rows import count_rows, take_rows
from hf_ext.training.watch.row_lookup import find_rows, name_row

ROWS = [
    {"input_ids": [5, 6], "labels": 0},
    {"input_ids": [5, 6, 7], "labels": 1},
    {"input_ids": [5, 6], "labels": 1},
    {"input_ids": [8], "labels": 1},
]


def batch(tokens, labels, **more):
    return {"input_ids": torch.tensor(tokens), "labels": torch.tensor(labels), **more}


def masked(tokens, labels):
    tokens = torch.tensor(tokens)
    return {"input_ids": tokens, "attention_mask": (tokens > 0).long(), "labels": torch.tensor(labels)}


@pytest.mark.parametrize("data", [ROWS, datasets.Dataset.from_list(ROWS)], ids=["list", "datasets"])
def test_padding_on_either_side_does_not_hide_a_row_and_labels_tell_equal_texts_apart(data):
    right = masked([[5, 6, 7], [5, 6, 0], [8, 0, 0]], [1, 1, 1])
    left = masked([[5, 6, 7], [0, 5, 6], [0, 0, 8]], [1, 1, 1])
    assert find_rows(right, data) == find_rows(left, data) == [[1], [2], [3]]
    bare = batch([[5, 6, 7], [5, 6, 0]], [1, 0])
    assert find_rows(bare, data, pad_token_id=0) == [[1], [0]]


def test_rows_that_the_data_set_holds_twice_are_all_named():
    assert find_rows(batch([[5, 6]], [0]), [*ROWS, ROWS[0]]) == [[0, 4]]


def test_a_data_set_that_is_padded_already_is_unpadded_too():
    data = [{"input_ids": [5, 6, 0, 0], "attention_mask": [1, 1, 0, 0], "labels": 0}]
    assert find_rows(masked([[5, 6, 0]], [0]), data) == [[0]]


def test_missing_numbers_equal_one_another():
    data = [{"input_ids": [5], "numeric_values": [1.0, float("nan")]}, {"input_ids": [5], "numeric_values": [1.0, 2.0]}]
    numbers = torch.tensor([[1.0, float("nan")]])
    assert find_rows({"input_ids": torch.tensor([[5]]), "numeric_values": numbers}, data) == [[0]]


def test_without_tokens_the_first_shared_field_is_compared():
    data = [{"features": [0.1, 2.0], "labels": 0}, {"features": [0.3, 2.0], "labels": 0}]
    made = {"features": torch.tensor([[0.3, 2.0]]), "labels": torch.tensor([0])}
    assert find_rows(made, data) == [[1]]


def test_what_is_not_there_gives_nothing():
    assert find_rows(batch([[9, 9]], [0]), ROWS) == [[]]
    assert find_rows(batch([[5, 6]], [0]), []) == [[]]
    assert find_rows(batch([[5, 6]], [0]), (row for row in ROWS)) == [[]]
    assert find_rows({"pixels": torch.zeros(2, 3)}, ROWS) == [[], []]
    assert find_rows({}, ROWS) == []


def test_a_row_is_named_by_its_number_and_its_id():
    assert name_row(ROWS, 3) == "3"
    assert name_row([{"idx": 17}], 0) == "0 (idx 17)"


def test_rows_are_cut_out_of_whatever_has_one_entry_a_row():
    made = {"a": torch.arange(6).reshape(3, 2), "b": [torch.arange(3)], "c": torch.tensor(1.0), "d": "text"}
    made["e"] = {"inner": torch.arange(3)}
    cut = take_rows(made, slice(1, 2))
    assert count_rows(made) == 3
    assert cut["a"].tolist() == [[2, 3]]
    assert cut["b"][0].tolist() == [1]
    assert cut["e"]["inner"].tolist() == [1]
    assert (cut["c"].item(), cut["d"]) == (1.0, "text")
    assert count_rows({"d": "text"}) == 0


def test_rows_are_found_by_the_tokens_that_are_hidden_in_them_whatever_their_attention_mask_is():
    """Of masked language modelling: 4 is the mask token, labels hold what it hides, padding is 0."""
    tokens, labels = torch.tensor([[5, 4, 7], [4, 6, 0]]), torch.tensor([[-100, 6, -100], [5, -100, -100]])
    collated = {"input_ids": tokens, "labels": labels, "masked_positions": torch.tensor([1, 3])}
    rows = [{"input_ids": [5, 6]}, {"input_ids": [5, 6, 7]}]
    everyone_sees_all = torch.ones(2, 1, 3, 3, dtype=torch.bool)
    for mask in ((tokens > 0).long(), everyone_sees_all):
        assert find_rows({**collated, "attention_mask": mask}, rows, pad_token_id=0) == [[1], [0]]


def test_rows_that_are_taken_out_leave_the_flat_positions_of_the_whole_batch_behind():
    collated = {"input_ids": torch.ones(2, 3), "masked_positions": torch.tensor([1, 3])}
    assert set(take_rows(collated, slice(1))) == {"input_ids"}
