from __future__ import annotations

import math
from dataclasses import replace

import datasets
import pytest
from transformers import AutoTokenizer

from hf_ext.data.features import (
    TOKENS_COLUMN,
    FeatureEncoder,
    describe_tokenizer,
    join_texts,
    limit_length,
    make_features,
    note_truncation,
)
from hf_ext.data.labels import LabelReader
from hf_ext.errors import UserError
from hf_ext.models.schema import (
    MULTI_LABEL,
    REGRESSION,
    SINGLE_LABEL,
    CategoricalColumn,
    LabelSchema,
    NumericColumn,
    TabularSchema,
    TaskSchema,
    TextSchema,
)
from hf_ext.tokenization import build_tokenizer

WORDS = ["a good book", "a bad pen", "one two three four five six"]
SCHEMA = TaskSchema(LabelSchema(SINGLE_LABEL, ("bad", "good")), TextSchema(("text",)), label_column="label")
READER = LabelReader(SINGLE_LABEL)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(WORDS, level="word", min_count=1, model_max_length=16)


@pytest.fixture
def rows() -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {
            "text": WORDS,
            "label": ["good", "bad", "good"],
            "pair": ["x", "a pen", ""],
            "shop": ["n", "s", "?"],
            "price": ["1.5", "", "-3"],
            "many": ["a", "a,b", ""],
            "score": ["1", "2.5", "0"],
            "_line": [2, 3, 4],
        }
    )


@pytest.fixture
def calls(monkeypatch):
    """How often batches are encoded."""
    made = []
    encode = FeatureEncoder._tokenise
    monkeypatch.setattr(FeatureEncoder, "_tokenise", lambda self, *a: made.append(len(a[0])) or encode(self, *a))
    return made


# What is made


def test_tokens_are_those_of_the_tokenizer(rows, tokenizer, tmp_path):
    made = make_features(rows, FeatureEncoder(tokenizer, SCHEMA, 16, READER), cache_dir=tmp_path)
    assert made["input_ids"][:] == [tokenizer(text)["input_ids"] for text in WORDS]
    assert made["labels"][:] == [1, 0, 1]
    assert set(made.column_names) == {*tokenizer.model_input_names, "labels", TOKENS_COLUMN}


def test_pairs_are_encoded_as_pairs(rows, tokenizer, tmp_path):
    schema = replace(SCHEMA, text=TextSchema(("text",), "pair"))
    made = make_features(rows, FeatureEncoder(tokenizer, schema, 16), cache_dir=tmp_path)
    expected = tokenizer(WORDS, rows["pair"][:])
    for name in tokenizer.model_input_names:
        assert made[name][:] == expected[name]


def test_table_columns_become_ids_and_numbers(rows, tokenizer, tmp_path):
    table = TabularSchema((CategoricalColumn("shop", ("n", "s")),), (NumericColumn("price"),))
    made = make_features(rows, FeatureEncoder(tokenizer, replace(SCHEMA, columns=table), 16), cache_dir=tmp_path)
    assert made["category_ids"][:] == [[1], [2], [0]]
    values = [value for (value,) in made["numeric_values"][:]]
    assert (values[0], values[2]) == (1.5, -3.0)
    assert math.isnan(values[1])
    assert "labels" not in made.column_names


def test_labels_of_the_other_tasks(rows, tokenizer, tmp_path):
    many = replace(SCHEMA, labels=LabelSchema(MULTI_LABEL, ("a", "b")), label_column="many")
    some = rows.select([0, 1])
    made = make_features(some, FeatureEncoder(tokenizer, many, 16, LabelReader(MULTI_LABEL, ",")), cache_dir=tmp_path)
    assert made["labels"][:] == [[1.0, 0.0], [1.0, 1.0]]
    number = replace(SCHEMA, labels=LabelSchema(REGRESSION), label_column="score")
    made = make_features(rows, FeatureEncoder(tokenizer, number, 16, LabelReader(REGRESSION)), cache_dir=tmp_path)
    assert made["labels"][:] == [1.0, 2.5, 0.0]
    assert made.features["labels"] == datasets.Value("float32")


def test_columns_are_joined_in_order_without_empty_ones(rows):
    schema = replace(SCHEMA, text=TextSchema(("pair", "text"), None, " | ", ("shop",)))
    texts, pairs = join_texts(rows[:], schema)
    assert texts == [
        "x | a good book | shop: n",
        "a pen | a bad pen | shop: s",
        "one two three four five six | shop: ?",
    ]
    assert pairs is None


def test_token_types_come_only_where_the_tokenizer_has_them(rows, tokenizer, tmp_path):
    plain = build_tokenizer(WORDS, level="word", min_count=1)
    plain.model_input_names = ["input_ids", "attention_mask"]
    made = make_features(rows, FeatureEncoder(plain, SCHEMA, 16), cache_dir=tmp_path)
    assert set(made.column_names) == {"input_ids", "attention_mask", TOKENS_COLUMN}


# Length


def test_long_texts_are_cut_and_their_whole_length_is_kept(rows, tokenizer, tmp_path):
    made = make_features(rows, FeatureEncoder(tokenizer, SCHEMA, 4), cache_dir=tmp_path)
    whole = [len(tokenizer(text)["input_ids"]) for text in WORDS]
    assert [len(ids) for ids in made["input_ids"][:]] == [min(n, 4) for n in whole]
    assert made[TOKENS_COLUMN][:] == whole


def test_text_of_exactly_the_longest_length_is_not_counted_as_cut(tokenizer):
    length = len(tokenizer(WORDS[0])["input_ids"])
    tokens = FeatureEncoder(tokenizer, SCHEMA, length)({"text": [WORDS[0]]})[TOKENS_COLUMN]
    assert note_truncation(tokens, length, "a.csv") == []
    assert note_truncation([3, 9, 20], 8, "a.csv") == ["a.csv: 2 of 3 texts cut to 8 tokens; the longest has 20"]


def test_length_is_limited_by_the_tokenizer(tokenizer):
    assert limit_length(10, tokenizer) == (10, [])
    assert limit_length(100, tokenizer) == (16, ["--max_seq_length 100 is more than the model takes; 16 is used"])
    unlimited = build_tokenizer(WORDS, level="word", min_count=1)
    unlimited.model_max_length = int(1e30)
    assert limit_length(100, unlimited) == (100, [])
    assert limit_length(100, unlimited, 60)[0] == 60
    assert limit_length(100, tokenizer, 60)[0] == 16
    assert limit_length(10, unlimited, 60) == (10, [])


def test_a_cache_folder_that_cannot_be_made_is_answered(rows, tokenizer, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="name another --cache_dir"):
        make_features(rows, FeatureEncoder(tokenizer, SCHEMA, 8, READER), cache_dir=tmp_path / "file" / "cache")


# Cache


def test_unchanged_call_does_not_tokenise_again(rows, tokenizer, tmp_path, calls):
    first = make_features(rows, FeatureEncoder(tokenizer, SCHEMA, 8, READER), cache_dir=tmp_path)
    assert 3 in calls
    calls.clear()
    again = make_features(rows, FeatureEncoder(tokenizer, SCHEMA, 8, READER), cache_dir=tmp_path)
    assert 3 not in calls, "only the one row that shows the types may be encoded"
    assert again[:] == first[:]
    assert len(list(tmp_path.iterdir())) == 1


def test_overwrite_tokenises_again(rows, tokenizer, tmp_path, calls):
    encoder = FeatureEncoder(tokenizer, SCHEMA, 8, READER)
    make_features(rows, encoder, cache_dir=tmp_path)
    calls.clear()
    make_features(rows, encoder, cache_dir=tmp_path, overwrite=True)
    assert 3 in calls


def test_several_processes_make_the_same_features(rows, tokenizer, tmp_path):
    encoder = FeatureEncoder(tokenizer, SCHEMA, 8, READER)
    alone = make_features(rows, encoder, cache_dir=tmp_path / "a")
    shared = make_features(rows, encoder, cache_dir=tmp_path / "b", num_workers=2)
    assert alone[:] == shared[:]


def changed_rows(rows, column, cell):
    cells = rows[column][:]
    return rows.remove_columns(column).add_column(column, [*cells[:-1], cell])


def test_every_change_that_matters_gives_another_key(rows, tokenizer):
    table = TabularSchema((CategoricalColumn("shop", ("n", "s")),), (NumericColumn("price"),))
    schema = replace(SCHEMA, columns=table)
    base = FeatureEncoder(tokenizer, schema, 8, READER)
    lower = build_tokenizer(WORDS, level="word", min_count=1, lower_case=True, model_max_length=16)
    fewer = build_tokenizer(WORDS[:2], level="word", min_count=1, model_max_length=16)
    keys = [
        base.cache_key(rows),
        base.cache_key(rows.select([0, 1])),
        base.cache_key(rows.select([1, 0, 2])),
        base.cache_key(changed_rows(rows, "text", "another text")),
        base.cache_key(changed_rows(rows, "label", "bad")),
        base.cache_key(changed_rows(rows, "shop", "s")),
        base.cache_key(changed_rows(rows, "price", "")),
        replace(base, tokenizer=lower).cache_key(rows),
        replace(base, tokenizer=fewer).cache_key(rows),
        replace(base, max_length=9).cache_key(rows),
        replace(base, label_reader=None).cache_key(rows),
        replace(base, label_reader=LabelReader(SINGLE_LABEL, None, ("bad", "good"))).cache_key(rows),
        replace(base, schema=replace(schema, labels=LabelSchema(SINGLE_LABEL, ("good", "bad")))).cache_key(rows),
        replace(base, schema=replace(schema, text=TextSchema(("text",), "pair"))).cache_key(rows),
        replace(base, schema=replace(schema, text=TextSchema(("text",), delimiter="|"))).cache_key(rows),
        replace(base, schema=SCHEMA).cache_key(rows),
    ]
    assert len(set(keys)) == len(keys)


def test_a_column_that_is_not_read_does_not_change_the_key(rows, tokenizer):
    encoder = FeatureEncoder(tokenizer, SCHEMA, 8, READER)
    assert encoder.cache_key(changed_rows(rows, "score", "9")) == encoder.cache_key(rows)


def test_using_a_tokenizer_does_not_change_its_description(tokenizer):
    before = describe_tokenizer(tokenizer)
    tokenizer(WORDS, truncation=True, max_length=3, padding=True)
    assert describe_tokenizer(tokenizer) == before


def test_saved_and_loaded_tokenizer_has_the_same_key(tiny_bert, rows):
    first, second = (AutoTokenizer.from_pretrained(tiny_bert) for _ in range(2))
    first("some text", truncation=True, max_length=3)
    keys = [FeatureEncoder(t, SCHEMA, 8, READER).cache_key(rows) for t in (first, second)]
    assert keys[0] == keys[1]


def test_tokenizers_without_a_rust_backend_are_told_apart(tmp_path, rows):
    from transformers import ByT5Tokenizer

    slow = ByT5Tokenizer()
    described = describe_tokenizer(slow)
    assert describe_tokenizer(ByT5Tokenizer()) == described
    slow.add_tokens(["extra"])
    assert describe_tokenizer(slow) != described
    made = make_features(rows, FeatureEncoder(slow, SCHEMA, 8), cache_dir=tmp_path)
    assert made[TOKENS_COLUMN][:] == [len(text) + 1 for text in WORDS]
