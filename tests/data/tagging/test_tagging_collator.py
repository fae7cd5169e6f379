from __future__ import annotations

import pickle

import pytest
import torch

from hf_ext.data.tagging import TaggingCollator
from hf_ext.tokenization import build_tokenizer

ROWS = [
    {
        "input_ids": [2, 7, 8, 9],
        "attention_mask": [1, 1, 1, 1],
        "token_type_ids": [0, 0, 0, 0],
        "word_mask": [0, 1, 0, 1],
        "labels": [-100, 3, -100, 0],
        "char_ids": [[2, 3, 4], [5]],
        "sentence_labels": 1,
        "sentence": 0,
        "word_starts": [1, 3],
    },
    {
        "input_ids": [2, 7],
        "attention_mask": [1, 1],
        "token_type_ids": [0, 0],
        "word_mask": [0, 1],
        "labels": [-100, 4],
        "char_ids": [[]],
        "sentence_labels": -100,
        "sentence": 1,
        "word_starts": [1],
    },
]


@pytest.fixture
def tokenizer():
    return build_tokenizer(["a b c d e f"], level="word", min_count=1, model_max_length=16)


def test_a_batch_is_as_long_as_its_longest_window(tokenizer):
    batch = TaggingCollator(tokenizer)(ROWS)
    assert {name: values.tolist() for name, values in batch.items()} == {
        "input_ids": [[2, 7, 8, 9], [2, 7, 0, 0]],
        "attention_mask": [[1, 1, 1, 1], [1, 1, 0, 0]],
        "token_type_ids": [[0, 0, 0, 0]] * 2,
        "word_mask": [[0, 1, 0, 1], [0, 1, 0, 0]],
        "labels": [[-100, 3, -100, 0], [-100, 4, -100, -100]],
        "char_ids": [[[2, 3, 4], [5, 0, 0]], [[0, 0, 0], [0, 0, 0]]],
        "sentence_labels": [1, -100],
    }
    assert all(values.dtype is torch.int64 for values in batch.values())


def test_padding_goes_to_the_side_of_the_tokenizer(tokenizer):
    tokenizer.padding_side = "left"
    batch = TaggingCollator(tokenizer)(ROWS)
    assert batch["input_ids"][1].tolist() == [0, 0, 2, 7]
    assert batch["word_mask"][1].tolist() == [0, 0, 0, 1]
    assert batch["labels"][1].tolist() == [-100, -100, -100, 4]
    assert batch["char_ids"][1].tolist() == [[0, 0, 0]] * 2  # words are counted from the front


@pytest.mark.parametrize(
    ("options", "length"), [({"pad_to_multiple_of": 8}, 8), ({"max_length": 10}, 10), ({"max_length": 99}, 16)]
)
def test_lengths_can_be_rounded_up_or_fixed(tokenizer, options, length):
    batch = TaggingCollator(tokenizer, **options)(ROWS)
    for name in ("input_ids", "attention_mask", "word_mask", "labels"):
        assert batch[name].shape == (2, length)
    assert batch["labels"][:, 4:].eq(-100).all()
    assert not batch["word_mask"][:, 4:].any()


def test_windows_to_predict_have_no_labels(tokenizer):
    rows = [{name: row[name] for name in ("input_ids", "attention_mask", "word_mask")} for row in ROWS]
    assert set(TaggingCollator(tokenizer)(rows)) == {"input_ids", "attention_mask", "word_mask"}


def test_it_can_be_sent_to_the_workers_of_a_data_loader(tokenizer):
    copy = pickle.loads(pickle.dumps(TaggingCollator(tokenizer)))
    assert torch.equal(copy(ROWS)["labels"], TaggingCollator(tokenizer)(ROWS)["labels"])
