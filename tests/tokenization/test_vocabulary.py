from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hf_ext.tokenization import build_tokenizer
from hf_ext.tokenization.vocabulary import CLS, SEP, SPECIAL_TOKENS

CHINESE = ["这本书很好看，喜欢", "这本书不好", "质量很差，不好看", "很喜欢这本书"]
ENGLISH = ["I love this book, really", "I do not love this one", "this book is bad", "really bad book"]


def tokens(tokenizer, *text):
    return tokenizer.convert_ids_to_tokens(tokenizer(*text)["input_ids"])


def test_chinese_text_is_split_into_characters_by_default():
    tokenizer = build_tokenizer(CHINESE, min_count=1)
    assert tokens(tokenizer, "很好 看") == [CLS, "很", "好", "看"]


def test_other_text_is_split_into_words_and_marks_by_default():
    tokenizer = build_tokenizer(ENGLISH, min_count=1)
    assert tokens(tokenizer, "really, this book") == [CLS, "really", ",", "this", "book"]


def test_a_named_level_wins_over_the_script():
    tokenizer = build_tokenizer(ENGLISH, level="character", min_count=1)
    assert tokens(tokenizer, "bad") == [CLS, "b", "a", "d"]


def test_whole_words_stay_whole_whatever_marks_they_hold():
    tokenizer = build_tokenizer(["the U.S. 's state-of-the-art @paul_w"], level="whole", min_count=1)
    words = ["the", "U.S.", "'s", "state-of-the-art", "@paul_w", "other"]
    encoded = tokenizer([words], is_split_into_words=True)
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"][0]) == [CLS, *words[:-1], "[UNK]"]
    assert encoded.word_ids(0) == [None, 0, 1, 2, 3, 4, 5]


def test_pairs_get_a_separator_and_segment_ids():
    tokenizer = build_tokenizer(ENGLISH, min_count=1)
    encoded = tokenizer("bad book", "this one")
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"]) == [CLS, "bad", "book", SEP, "this", "one"]
    assert encoded["token_type_ids"] == [0, 0, 0, 0, 1, 1]


def test_rare_and_unseen_tokens_are_unknown():
    tokenizer = build_tokenizer(ENGLISH, min_count=2)
    assert tokens(tokenizer, "love one zebra") == [CLS, "love", "[UNK]", "[UNK]"]


def test_the_most_frequent_tokens_stay_when_the_vocabulary_is_small():
    tokenizer = build_tokenizer(["a a a a b b b c c d"], level="word", vocab_size=len(SPECIAL_TOKENS) + 2, min_count=1)
    assert set(tokenizer.get_vocab()) == {*SPECIAL_TOKENS, "a", "b"}


def test_known_tokens_join_after_the_frequent_ones_unless_a_text_cannot_hold_them():
    known = ["b", "never", "New York", "Rome", "a"]
    tokenizer = build_tokenizer(["a a b c"], level="whole", lower_case=True, known_tokens=known)
    assert tokenizer.convert_ids_to_tokens(range(5, len(tokenizer))) == ["a", "b", "never"]
    small = build_tokenizer(["a a b c"], level="whole", vocab_size=7, known_tokens=known)
    assert small.convert_ids_to_tokens(range(5, len(small))) == ["a", "b"]


def test_ids_do_not_depend_on_the_order_of_the_texts():
    forward, backward = build_tokenizer(CHINESE, min_count=1), build_tokenizer(CHINESE[::-1], min_count=1)
    assert forward.get_vocab() == backward.get_vocab()


def test_padding_is_id_zero_and_an_empty_text_still_has_a_token():
    tokenizer = build_tokenizer(CHINESE)
    assert tokenizer.pad_token_id == 0
    assert len(tokenizer("")["input_ids"]) == 1


def test_full_width_and_half_width_forms_share_a_token():
    tokenizer = build_tokenizer(["Ａ１ A1"], level="character", min_count=1)
    assert tokenizer("Ａ１")["input_ids"] == tokenizer("A1")["input_ids"]


def test_lower_case_folds_before_counting():
    tokenizer = build_tokenizer(["Good good GOOD"], level="word", min_count=3, lower_case=True)
    assert tokens(tokenizer, "GoOd") == [CLS, "good"]


def test_a_saved_tokenizer_loads_through_auto_tokenizer_and_agrees(tmp_path):
    tokenizer = build_tokenizer(CHINESE, min_count=1)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(CHINESE, CHINESE) == tokenizer(CHINESE, CHINESE)
    assert loaded.model_input_names == tokenizer.model_input_names


def test_special_token_strings_in_the_text_do_not_take_their_ids_twice():
    tokenizer = build_tokenizer(["[PAD] [PAD] x x"], level="word", min_count=1)
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer.get_vocab())))


def test_texts_are_read_once_and_may_be_a_generator():
    tokenizer = build_tokenizer((text for text in CHINESE * 2000), min_count=7999)
    assert {"书", "这"} & set(tokenizer.get_vocab()) == set()  # each occurs 6000 times
    assert "好" in build_tokenizer((text for text in CHINESE * 2000), min_count=6000).get_vocab()


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_texts_without_a_token_are_refused(texts):
    with pytest.raises(ValueError, match="no token"):
        build_tokenizer(texts)


def test_an_unknown_level_names_the_legal_ones():
    with pytest.raises(ValueError, match="character"):
        build_tokenizer(CHINESE, level="syllable")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=5))
def test_any_text_is_encoded_within_the_vocabulary(texts):
    tokenizer = build_tokenizer(CHINESE, min_count=1)
    for ids in tokenizer(texts)["input_ids"] if texts else []:
        assert all(0 <= i < len(tokenizer) for i in ids)
