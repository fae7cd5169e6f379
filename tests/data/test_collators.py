from __future__ import annotations

import math
import pickle

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from hf_ext.data.collators import ClassificationCollator
from hf_ext.tokenization import build_tokenizer

TEXTS = ["a good book", "pen", "one two three four five six"]


@pytest.fixture
def tokenizer():
    return build_tokenizer(TEXTS, level="word", min_count=1, model_max_length=32)


@pytest.fixture
def rows(tokenizer):
    return [{**tokenizer(text)} for text in TEXTS]


def with_column(rows, name, values):
    return [{**row, name: value} for row, value in zip(rows, values, strict=True)]


def test_batch_is_as_long_as_its_longest_row(tokenizer, rows):
    batch = ClassificationCollator(tokenizer)(rows)
    lengths = [len(row["input_ids"]) for row in rows]
    assert batch["input_ids"].shape == (3, max(lengths))
    assert batch["attention_mask"].sum(1).tolist() == lengths
    for row, ids, length in zip(rows, batch["input_ids"].tolist(), lengths, strict=True):
        assert ids[:length] == row["input_ids"]
        assert set(ids[length:]) <= {tokenizer.pad_token_id}


def test_padding_on_the_left_with_its_own_segment(tokenizer, rows):
    tokenizer.padding_side = "left"
    tokenizer._pad_token_type_id = 4
    rows = with_column(rows, "token_type_ids", [[0] * len(row["input_ids"]) for row in rows])
    batch = ClassificationCollator(tokenizer)(rows)
    assert batch["attention_mask"][1].tolist() == sorted(batch["attention_mask"][1].tolist())
    padded = batch["attention_mask"] == 0
    assert set(batch["token_type_ids"][padded].tolist()) == {4}
    assert set(batch["token_type_ids"][~padded].tolist()) == {0}


@pytest.mark.parametrize(("multiple", "length"), [(8, 8), (5, 10), (16, 16)])
def test_length_is_rounded_up(tokenizer, rows, multiple, length):
    assert max(len(row["input_ids"]) for row in rows) in (7, 8)
    batch = ClassificationCollator(tokenizer, pad_to_multiple_of=multiple)(rows)
    assert batch["input_ids"].shape[1] == length


def test_fixed_length_but_not_more_than_the_model_takes(tokenizer, rows):
    assert ClassificationCollator(tokenizer, max_length=20)(rows)["input_ids"].shape == (3, 20)
    assert ClassificationCollator(tokenizer, max_length=200)(rows)["input_ids"].shape == (3, 32)


@pytest.mark.parametrize(
    ("labels", "dtype", "shape"),
    [
        ([0, 2, 1], torch.int64, (3,)),
        ([0.5, 2.0, 1.0], torch.float32, (3,)),
        ([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]], torch.float32, (3, 2)),
        ([torch.tensor(0), torch.tensor(2), torch.tensor(1)], torch.int64, (3,)),
    ],
)
def test_labels_have_the_type_that_the_loss_takes(tokenizer, rows, labels, dtype, shape):
    batch = ClassificationCollator(tokenizer)(with_column(rows, "labels", labels))
    assert (batch["labels"].dtype, tuple(batch["labels"].shape)) == (dtype, shape)
    torch.testing.assert_close(batch["labels"], torch.as_tensor(labels, dtype=dtype))


def test_table_columns_stand_beside_the_text(tokenizer, rows):
    rows = with_column(
        with_column(rows, "category_ids", [[1, 0], [2, 3], [0, 0]]), "numeric_values", [[1.5], [math.nan], [0]]
    )
    batch = ClassificationCollator(tokenizer)(rows)
    assert batch["category_ids"].tolist() == [[1, 0], [2, 3], [0, 0]]
    assert batch["category_ids"].dtype == torch.int64
    assert batch["numeric_values"].dtype == torch.float32
    assert batch["numeric_values"].shape == (3, 1)
    assert batch["numeric_values"].isnan().flatten().tolist() == [False, True, False]


def test_stray_columns_are_left_out(tokenizer, rows):
    batch = ClassificationCollator(tokenizer)(with_column(with_column(rows, "_line", [1, 2, 3]), "id", ["a", "b", "c"]))
    assert set(batch) == set(rows[0])


def test_collator_survives_pickling(tokenizer, rows):
    collator = pickle.loads(pickle.dumps(ClassificationCollator(tokenizer, pad_to_multiple_of=8)))
    torch.testing.assert_close(collator(rows), ClassificationCollator(tokenizer, pad_to_multiple_of=8)(rows))


def test_padding_does_not_change_the_logits(tokenizer, rows):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        alone = torch.cat([model(**ClassificationCollator(tokenizer)([row])).logits for row in rows])
        for collator in (ClassificationCollator(tokenizer), ClassificationCollator(tokenizer, max_length=30)):
            torch.testing.assert_close(model(**collator(rows)).logits, alone, atol=1e-5, rtol=1e-5)
