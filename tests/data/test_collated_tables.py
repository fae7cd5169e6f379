"""A batch is the same, bit for bit, from rows, from a table, and from the tokenizer's own ``pad``."""

from __future__ import annotations

import math
import warnings

import datasets
import numpy as np
import pytest
import torch
from padding_reference import collate_classification, collate_tagging

from hf_ext.data.collators import ClassificationCollator
from hf_ext.data.tagging import TaggingCollator
from hf_ext.tokenization import build_tokenizer
from hf_ext.training.batching.table_rows import TableRows, hand_out_tables

ROWS, CHUNK, VOCABULARY = 60, 7, 40
OPTIONS = [{}, {"pad_to_multiple_of": 8}, {"max_length": 20}, {"max_length": 999}]
OPTIONS += [{"max_length": 19, "pad_to_multiple_of": 8}]
PICKED = {
    "neighbours of one chunk": range(1, 6),
    "neighbours of two chunks": range(5, 11),
    "by chance, twice": [51, 3, 17, 3, 0, 59],
    "one": [13],
    "of one length": [4, 14, 24, 34],
}


def make_tokenizer(side="right", segment=0):
    tokenizer = build_tokenizer(["a text"], min_count=1, model_max_length=32)
    tokenizer.padding_side, tokenizer._pad_token_type_id = side, segment
    return tokenizer


def make_features(**columns):
    random = np.random.default_rng(3)
    lengths = [3 + i % 10 for i in range(ROWS)]
    tokens = [random.integers(4, VOCABULARY, length).tolist() for length in lengths]
    return {"input_ids": tokens, **{name: make(random, lengths) for name, make in columns.items()}}


def for_each_token(low, high):
    return lambda random, lengths: [random.integers(low, high, length).tolist() for length in lengths]


def ones(random, lengths):
    return [[1] * length for length in lengths]


def for_each_row(make):
    return lambda random, lengths: [make(random) for _ in lengths]


def draw_numbers(random):
    return [float(random.normal()), math.nan if random.random() < 0.3 else 1e-9 * random.random(), 1e30]


TEXT = {"attention_mask": ones}
PAIRS = {"token_type_ids": for_each_token(0, 2), **TEXT}
CLASSIFICATION = {
    "text alone": TEXT,
    "without a mask": {},
    "pairs with special tokens": {**PAIRS, "special_tokens_mask": for_each_token(0, 2)},
    "classes": {**TEXT, "labels": for_each_row(lambda random: int(random.integers(0, 9)))},
    "regression": {**PAIRS, "labels": for_each_row(lambda random: float(random.normal()))},
    "several labels": {**TEXT, "labels": for_each_row(lambda random: random.integers(0, 2, 4).astype(float).tolist())},
    "table columns": {
        **PAIRS,
        "category_ids": for_each_row(lambda random: random.integers(0, 5, 2).tolist()),
        "numeric_values": for_each_row(draw_numbers),
        "labels": for_each_row(lambda random: int(random.integers(0, 9))),
        "id": for_each_row(lambda random: "stray"),
    },
}
LABELLED_WINDOWS = {
    **PAIRS,
    "word_mask": for_each_token(0, 2),
    "labels": for_each_token(-100, 9),
    "sentence_labels": for_each_row(lambda random: int(random.choice([-100, 0, 1]))),
    "sentence": for_each_row(lambda random: 0),
}
WORDS = for_each_row(lambda random: [[5] * int(random.integers(0, 4)) for _ in range(random.integers(1, 4))])
TAGGING = {
    "windows": LABELLED_WINDOWS,
    "characters": {**LABELLED_WINDOWS, "char_ids": WORDS},
    "words without characters": {**TEXT, "char_ids": for_each_row(lambda random: [[]])},
    "windows to predict": {"word_mask": for_each_token(0, 2), **TEXT},
}
STORED = {
    "input_ids": datasets.List(datasets.Value("int32")),
    "numeric_values": datasets.List(datasets.Value("float32")),
    "attention_mask": datasets.List(datasets.Value("int8")),
    "token_type_ids": datasets.List(datasets.Value("int8")),
    "category_ids": datasets.List(datasets.Value("int64")),
    "char_ids": datasets.List(datasets.List(datasets.Value("int32"))),
    "word_mask": datasets.List(datasets.Value("int8")),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Write features to a file in chunks of 7 rows, as preparation does in larger ones."""

    def write(features):
        rows = datasets.Dataset.from_dict(features)
        kinds = datasets.Features({name: STORED.get(name, kind) for name, kind in rows.features.items()})
        path = tmp_path_factory.mktemp("rows") / "features.arrow"
        stored = rows.map(
            dict, batched=True, features=kinds, writer_batch_size=CHUNK, cache_file_name=str(path), new_fingerprint="a"
        )
        assert stored.data.column("input_ids").num_chunks == -(-ROWS // CHUNK)
        return stored

    return write


def assert_same(batch, expected):
    assert set(batch) == set(expected)
    for name, values in expected.items():
        assert batch[name].dtype == values.dtype, name
        assert batch[name].shape == values.shape, name
        torch.testing.assert_close(batch[name], values, rtol=0, atol=0, equal_nan=True, msg=name)


def check_all_forms(collator_class, reference, stored, tokenizer):
    tables = TableRows(stored.data)
    shuffled = stored.shuffle(seed=5).select(range(40))
    table_of_shuffled = hand_out_tables(shuffled, ClassificationCollator(tokenizer))
    for options in OPTIONS:
        collate = collator_class(tokenizer, **options)
        for picked in PICKED.values():
            rows = stored.__getitems__(list(picked))
            expected = reference(rows, tokenizer, **options)
            assert_same(collate(rows), expected)
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # torch warns of memory that may not be written to
                made = collate(tables.__getitems__(list(picked)))
            assert_same(made, expected)
            for values in made.values():
                values += 1  # a trainer may change its batch; what is on disk stays as it is
        picked = [39, 0, 7, 8, 9]
        expected = reference([shuffled[i] for i in picked], tokenizer, **options)
        assert_same(collate(table_of_shuffled.__getitems__(picked)), expected)


@pytest.mark.parametrize(("side", "segment"), [("right", 0), ("left", 4)])
@pytest.mark.parametrize("columns", CLASSIFICATION.values(), ids=CLASSIFICATION)
def test_rows_to_classify(store, columns, side, segment):
    tokenizer = make_tokenizer(side, segment)
    check_all_forms(ClassificationCollator, collate_classification, store(make_features(**columns)), tokenizer)


@pytest.mark.parametrize(("side", "segment"), [("right", 0), ("left", 4)])
@pytest.mark.parametrize("columns", TAGGING.values(), ids=TAGGING)
def test_windows_to_tag(store, columns, side, segment):
    tokenizer = make_tokenizer(side, segment)
    check_all_forms(TaggingCollator, collate_tagging, store(make_features(**columns)), tokenizer)


@pytest.mark.parametrize("as_array", [np.array, torch.tensor, tuple])
def test_rows_may_hold_arrays_and_tensors(as_array):
    tokenizer = make_tokenizer()
    features = make_features(**CLASSIFICATION["table columns"])
    features.pop("id")
    rows = [dict(zip(features, cells, strict=True)) for cells in list(zip(*features.values(), strict=True))[:6]]
    expected = collate_classification(rows, tokenizer)
    arrays = [{name: as_array(cell) if isinstance(cell, list) else cell for name, cell in row.items()} for row in rows]
    assert_same(ClassificationCollator(tokenizer)(arrays), expected)


def test_lists_of_fixed_and_of_large_size():
    columns = {"category_ids": datasets.List(datasets.Value("int64"), length=2)}
    columns["input_ids"] = columns["attention_mask"] = datasets.LargeList(datasets.Value("int64"))
    rows = {"category_ids": [[1, 2], [3, 4], [5, 6]], "input_ids": [[7], [8, 9], [7, 5]]}
    rows["attention_mask"] = [[1], [1, 1], [1, 1]]
    stored = datasets.Dataset.from_dict(rows, features=datasets.Features({name: columns[name] for name in rows}))
    batch = ClassificationCollator(make_tokenizer())(TableRows(stored.data).__getitems__([2, 0]))
    assert batch["category_ids"].tolist() == [[5, 6], [1, 2]]
    assert batch["input_ids"].tolist() == [[7, 5], [7, 0]]


@pytest.mark.parametrize("collator_class", [ClassificationCollator, TaggingCollator])
def test_tokenizer_without_a_padding_token(collator_class):
    tokenizer = make_tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="the tokenizer has no padding token"):
        collator_class(tokenizer)([{"input_ids": [1]}])
