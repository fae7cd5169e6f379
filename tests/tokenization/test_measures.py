"""Figures that can be counted by hand, and the same for a tokenizer from elsewhere."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_ext.tokenization.measures import measure


def word_tokenizer(words: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(["[UNK]", *words.split()])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")


def test_figures_are_those_counted_by_hand():
    figures = measure(word_tokenizer("a bc 我们"), ["A bc dd", "我们 a"])
    # tokens: a bc [UNK] | 我们 a; words: A bc dd 我 们 a; characters: 1 + 2 + 2 + 2 + 1; bytes: 7 + 8
    assert (figures.lines, figures.tokens, figures.vocab_size) == (2, 5, 4)
    assert figures.coverage == pytest.approx(6 / 8)
    assert figures.unknown_rate == pytest.approx(1 / 5)
    assert figures.tokens_per_word == pytest.approx(5 / 6)
    assert figures.tokens_per_character == pytest.approx(5 / 8)
    assert figures.bytes_per_token == pytest.approx(15 / 5)
    assert (figures.round_trip, figures.round_trip_exact) == (0.5, 0.5)
    assert figures.first_failure == {"text": "abcdd", "came": "abc[UNK]"}


def test_white_space_that_is_lost_fails_the_exact_round_trip_alone():
    tokenizer = word_tokenizer("a bc")
    tokenizer.backend_tokenizer.decoder = decoders.Fuse()
    figures = measure(tokenizer, ["a bc"])
    assert (figures.round_trip, figures.round_trip_exact) == (1.0, 0.0)


def test_the_first_failure_is_shown_where_it_is():
    figures = measure(word_tokenizer("a"), ["a " * 100 + "zz " + "a " * 100])
    assert figures.first_failure is not None
    assert "zz" in figures.first_failure["text"]
    assert "[UNK]" in figures.first_failure["came"]
    assert len(figures.first_failure["text"]) < 50


def test_figures_become_json_without_noise():
    written = measure(word_tokenizer("a bc"), ["a bc"]).to_json()
    assert written["bytes_per_token"] == 2.0
    assert written["first_failure"] is None


def test_nothing_to_measure_is_a_wrong_call():
    with pytest.raises(ValueError, match="at least one line"):
        measure(word_tokenizer("a"), [])
