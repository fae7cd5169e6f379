from __future__ import annotations

from types import SimpleNamespace

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_ext.data.features import make_features
from hf_ext.data.tagging.features import CUT_COLUMN, REPLACED_COLUMN, TaggingEncoder
from hf_ext.errors import UserError
from hf_ext.models.tagging_schema import TaggingSchema
from hf_ext.tokenization import build_tokenizer

SCHEMA = TaggingSchema(("O", "B-X", "I-X"), "BIO")
WORDS = ["ab", "c", "defg", "\u3000", "h"]


@pytest.fixture(scope="module")
def tokenizer():
    """Every letter is a token; [CLS] in front, nothing behind."""
    return build_tokenizer(["abcdefghij xyz"], level="character", min_count=1)


@pytest.fixture(scope="module")
def backward():
    """The special tokens behind, with a type of their own, padding in front: as XLNet does."""
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<unk>", "<sep>", "<cls>", *"abcdefgh"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.post_processor = processors.TemplateProcessing(
        single="$A:0 <sep>:0 <cls>:2", special_tokens=[("<sep>", 2), ("<cls>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="left",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def encode(tokenizer, words, tags=None, *, max_length=100, overlap=0, schema=SCHEMA, label=None, **options):
    """The windows of one sentence, each as a dictionary."""
    encoder = TaggingEncoder(tokenizer, schema, max_length, overlap, labelled=tags is not None, **options)
    made = encoder({"sentence": [3], "words": [words], "tags": [tags], "label": [label]})
    return [dict(zip(made, row, strict=True)) for row in zip(*made.values(), strict=True)]


def tokens(tokenizer, row) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(row["input_ids"]))


def test_words_stand_at_their_first_token_and_every_word_has_one(tokenizer):
    (row,) = encode(tokenizer, WORDS, ["O", "B-X", "I-X", "O", "O"])
    assert tokens(tokenizer, row) == "[CLS] a b c d e f g [UNK] h"
    assert row["word_mask"] == [0, 1, 0, 1, 1, 0, 0, 0, 1, 1]
    assert row["labels"] == [-100, 0, -100, 1, 2, -100, -100, -100, 0, 0]
    assert row["word_starts"] == [1, 3, 4, 8, 9]
    assert row["token_type_ids"] == [0] * 10
    assert row["attention_mask"] == [1] * 10
    places = {name: row[name] for name in ("sentence", "first_word", "owned_first", "owned_end")}
    assert places == {"sentence": 3, "first_word": 0, "owned_first": 0, "owned_end": 5}
    assert (row[CUT_COLUMN], row[REPLACED_COLUMN]) == (0, 1)


def test_each_word_is_labelled_in_the_one_window_that_owns_it(tokenizer):
    rows = encode(tokenizer, list("abcdefgh"), ["O", "B-X"] * 4, max_length=6, overlap=2)
    assert [tokens(tokenizer, row) for row in rows] == ["[CLS] a b c d e", "[CLS] d e f g h"]
    assert [row["labels"] for row in rows] == [[-100, 0, 1, 0, 1, -100], [-100, -100, 0, 1, 0, 1]]
    assert [row["word_mask"] for row in rows] == [[0, 1, 1, 1, 1, 1]] * 2
    assert [(row["first_word"], row["owned_first"], row["owned_end"]) for row in rows] == [(0, 0, 4), (3, 4, 8)]


def test_a_word_longer_than_a_window_is_cut_and_counted(tokenizer):
    rows = encode(tokenizer, ["a", "bcdefgh", "i"], max_length=4)
    assert [tokens(tokenizer, row) for row in rows] == ["[CLS] a", "[CLS] b c d", "[CLS] i"]
    assert [row[CUT_COLUMN] for row in rows] == [0, 1, 0]


def test_special_tokens_behind_and_their_types_are_kept(backward):
    (row,) = encode(backward, ["ab", "c"], ["O", "B-X"])
    assert tokens(backward, row) == "a b c <sep> <cls>"
    assert row["token_type_ids"] == [0, 0, 0, 0, 2]
    assert row["labels"] == [0, -100, 1, -100, -100]
    assert row["word_starts"] == [0, 2]


def test_the_windows_are_what_the_tokenizer_itself_would_give(tokenizer, backward, tiny_bert):
    from transformers import AutoTokenizer

    for one in (tokenizer, backward, AutoTokenizer.from_pretrained(tiny_bert)):
        words = ["ab", "c", "good", "book"]
        expected = one(words, is_split_into_words=True)
        (row,) = encode(one, words)
        assert {name: row[name] for name in expected} == dict(expected)


def test_further_tokens_are_labelled_only_when_asked_and_begin_nothing(tokenizer):
    (row,) = encode(tokenizer, ["ab", "cd", "ef"], ["B-X", "I-X", "O"], all_tokens=True)
    assert row["labels"] == [-100, 1, 2, 2, 2, 0, 0]
    bmes = TaggingSchema(("O", "B-X", "M-X", "E-X", "S-X"), "BMES")
    (row,) = encode(tokenizer, ["ab", "cd"], ["B-X", "E-X"], all_tokens=True, schema=bmes)
    assert row["labels"] == [-100, 1, 2, 3, 3]


def test_sentence_labels_belong_to_the_first_window(tokenizer):
    joint = TaggingSchema(("O", "B-X"), "BIO", sentence_labels=("ask", "tell"))
    rows = encode(tokenizer, list("abcdefgh"), ["O"] * 8, max_length=6, schema=joint, label="tell")
    assert [row["sentence_labels"] for row in rows] == [1, -100]
    assert "sentence_labels" not in encode(tokenizer, ["a"], schema=joint)[0]


def test_characters_are_numbered_from_two_and_long_words_are_cut_there_only(tokenizer):
    schema = TaggingSchema(("O", "B-X"), "BIO", characters="abc")
    (row,) = encode(tokenizer, ["ab", "", "cz", "a" * 99], schema=schema, max_length=200)
    assert row["char_ids"] == [[2, 3], [], [4, 1], [2] * 32]


def test_a_sentence_without_words_has_no_window(tokenizer):
    encoder = TaggingEncoder(tokenizer, SCHEMA, 8, 2, labelled=False)
    made = encoder({"sentence": [0, 1, 2], "words": [[], ["a"], []], "tags": [None] * 3, "label": [None] * 3})
    assert made["sentence"] == [1]
    assert encoder({"sentence": [0], "words": [[]], "tags": [None], "label": [None]})["sentence"] == []


def test_the_mask_token_or_an_error_stands_for_words_without_tokens():
    words = build_tokenizer(["a b"], level="whole", min_count=1)
    bare = PreTrainedTokenizerFast(tokenizer_object=words.backend_tokenizer, mask_token="[MASK]")
    (row,) = encode(bare, ["a", "", "b"])
    assert tokens(bare, row) == "[CLS] a [MASK] b"
    none = PreTrainedTokenizerFast(tokenizer_object=words.backend_tokenizer)
    with pytest.raises(UserError, match="neither an unknown nor a mask token"):
        encode(none, ["a", "", "b"])


def test_unusable_tokenizers_and_lengths_are_refused_in_one_line(tokenizer):
    with pytest.raises(UserError, match="slow tokenizer"):
        TaggingEncoder(SimpleNamespace(is_fast=False), SCHEMA, 8, 2)
    with pytest.raises(UserError, match="--max_seq_length 1 leaves no room beside 1 special tokens"):
        TaggingEncoder(tokenizer, SCHEMA, 1, 0)
    with pytest.raises(UserError, match="--window_overlap 7 leaves no room in windows of 7"):
        TaggingEncoder(tokenizer, SCHEMA, 8, 7)


def test_byte_level_tokenizers_read_each_word_as_after_a_blank():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(
        models.BPE(
            {token: i for i, token in enumerate(["<unk>", *alphabet, "ab", "Ġab"])},
            [("a", "b"), ("Ġ", "ab")],
            unk_token="<unk>",
        )
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    byte_level = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    (row,) = encode(byte_level, ["ab", "ab", "b", "\u3000", ""])
    assert tokens(byte_level, row).split()[:4] == ["Ġab", "Ġab", "Ġ", "b"]
    assert len(row["word_starts"]) == sum(row["word_mask"]) == 5


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(st.text("abcdefgh \u200b\u3000中", max_size=9), max_size=30),
    max_length=st.integers(2, 12),
    overlap=st.integers(0, 10),
)
def test_every_word_of_any_sentence_has_one_label_and_every_window_fits(tokenizer, words, max_length, overlap):
    overlap = min(overlap, max(max_length - 2, 0))
    tags = [SCHEMA.tags[i % 3] for i in range(len(words))]
    rows = encode(tokenizer, words, tags, max_length=max_length, overlap=overlap)
    found = []
    for row in rows:
        assert len(row["input_ids"]) <= max_length
        assert [i for i, on in enumerate(row["word_mask"]) if on] == row["word_starts"]
        found += [label for label in row["labels"] if label != -100]
    assert found == [SCHEMA.tag_ids[tag] for tag in tags]


def test_the_cache_is_named_by_all_that_decides_the_features(tokenizer, tmp_path):
    def key(rows=(["a", "b"],), *, max_length=8, overlap=2, schema=SCHEMA, **options):
        table = datasets.Dataset.from_dict(
            {"sentence": [0], "words": list(rows), "tags": [["O", "O"]], "label": [None]}
        )
        return TaggingEncoder(tokenizer, schema, max_length, overlap, **options).cache_key(table)

    other = TaggingSchema(("B-X", "O", "I-X"), "BIO")
    keys = [
        key(),
        key((["a", "c"],)),
        key(max_length=9),
        key(overlap=1),
        key(schema=other),
        key(labelled=False),
        key(all_tokens=True),
    ]
    assert len({*keys}) == len(keys)
    assert key() == keys[0]


def test_features_are_made_once_and_then_loaded(tokenizer, tmp_path, monkeypatch):
    table = datasets.Dataset.from_dict(
        {"sentence": [0, 1], "words": [list("abcdefgh"), []], "tags": [["O"] * 8, []], "label": [None, None]}
    )
    encoder = TaggingEncoder(tokenizer, SCHEMA, 6, 2)
    made = make_features(table, encoder, cache_dir=tmp_path)
    assert made["sentence"][:] == [0, 0]
    monkeypatch.setattr(TaggingEncoder, "__call__", lambda *_: pytest.fail("tokenised again"))
    assert make_features(table, encoder, cache_dir=tmp_path)[:] == made[:]
