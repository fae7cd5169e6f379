from __future__ import annotations

import pickle
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from corpus_cases import byte_tokenizer, fails, word_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_ext.data.pretraining import tokens as module
from hf_ext.data.pretraining.segmenters import SEGMENTERS, choose_segmenter, is_chinese, load_segmenter
from hf_ext.data.pretraining.tokens import TokenEncoder
from hf_ext.tokenization import build_tokenizer

CHINESE = "我爱北京天安门，iPhone很贵。"
CUT = ["我", "爱", "北京", "天安门", "，", "iPhone", "很", "贵", "。"]


def encode(tokenizer, text, **settings):
    """The ids and the word starts of a text."""
    marked = TokenEncoder(tokenizer, "key", **settings)({"text": [text]})["marked_ids"][0]
    return (marked >> 1).tolist(), (marked & 1).astype(bool).tolist()


def piece_tokenizer(pieces: list[str]) -> PreTrainedTokenizerFast:
    """WordPiece over text without any split between words: pieces as they are listed."""
    vocabulary = {token: i for i, token in enumerate(["[UNK]", *pieces, *(f"##{piece}" for piece in pieces)])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=1000))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


@pytest.fixture
def segmenter(monkeypatch):
    """A segmenter that knows one text."""
    monkeypatch.setitem(SEGMENTERS, "known", lambda: lambda text: list(CUT) if text == CHINESE else [text])
    return "known"


def test_the_words_of_spaced_text_are_those_of_the_tokenizer():
    tokenizer = piece_tokenizer(["play", "ing", "chess", "un", "do"])
    ids, starts = encode(tokenizer, "playing chess undo")
    assert tokenizer.convert_ids_to_tokens(ids) == ["play", "##ing", "chess", "un", "##do"]
    assert starts == [True, False, True, True, False]


def test_byte_level_words_begin_at_their_first_token():
    tokenizer = byte_tokenizer()
    ids, starts = encode(tokenizer, "the cat sat there")
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert starts == [i == 0 or token.startswith("Ġ") for i, token in enumerate(tokens)]
    assert len(ids) > sum(starts) == 4


def test_chinese_characters_are_put_together_to_words(segmenter):
    tokenizer = build_tokenizer([CHINESE], level="character", min_count=1)
    _, starts = encode(tokenizer, CHINESE, segmenter=segmenter)
    begins = np.cumsum([0, *map(len, CUT)])[:-1]
    assert np.flatnonzero(starts).tolist() == begins.tolist()


def test_without_a_segmenter_each_chinese_character_is_a_word():
    tokenizer = build_tokenizer([CHINESE], level="character", min_count=1)
    assert all(encode(tokenizer, CHINESE)[1])


def test_other_documents_keep_the_tokenizers_words_beside_a_segmenter(segmenter):
    tokenizer = piece_tokenizer(["play", "ing"])
    assert encode(tokenizer, "playing play", segmenter=segmenter)[1] == [True, False, True]


def test_the_bytes_of_one_character_are_one_beginning(segmenter):
    tokenizer = byte_tokenizer()
    encoding = tokenizer(CHINESE, add_special_tokens=False)
    offsets = [encoding.token_to_chars(i) for i in range(len(encoding["input_ids"]))]
    begins, seen, expected = set(np.cumsum([0, *map(len, CUT)])[:-1].tolist()), set(), []
    for span in offsets:  # by hand: the token that is the first to hold anything of the first character of a word
        expected.append(span.start in begins and span.start not in seen)
        seen.update(range(span.start, span.end))
    assert encode(tokenizer, CHINESE, segmenter=segmenter)[1] == expected
    assert any(a.start == b.start for a, b in pairwise(offsets))  # there are such tokens


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (
            ["我爱", "北", "京天", "安门，"],
            [True, True, False, False],
        ),  # 我爱 begins 我; 京天 goes on 北京, 安门 with it
        (["我", "爱北京天", "安", "门"], [True, True, False, False]),
    ],
)
def test_a_token_across_words_begins_the_first_and_takes_the_second_along(segmenter, pieces, expected):
    ends = np.cumsum([*map(len, pieces), len(CHINESE) - sum(map(len, pieces))]).tolist()
    encoding = SimpleNamespace(offsets=list(pairwise([0, *ends])))
    encoder = TokenEncoder(word_tokenizer(), "key", segmenter=segmenter)
    assert encoder.word_starts(CHINESE, encoding)[: len(expected)].tolist() == expected


def test_the_first_token_begins_a_word_even_behind_blanks(segmenter):
    tokenizer = build_tokenizer([CHINESE], level="character", min_count=1)
    assert encode(tokenizer, "  " + CHINESE, segmenter=segmenter)[1][0]


def test_texts_are_tokenised_in_chunks_in_their_order(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 10)
    tokenizer = word_tokenizer()
    texts = ["w1 w2 w3 w4 w5", "", "w6", "w7 w8"]
    made = TokenEncoder(tokenizer, "key")({"text": texts})["marked_ids"]
    assert [tokenizer.decode(ids >> 1) for ids in made] == texts


def test_sentence_lengths_are_those_of_the_sentences():
    tokenizer = word_tokenizer()
    text = "w1 w2. w3 w4 w5! w6\nw7 w8"
    made = TokenEncoder(tokenizer, "key", sentences=True)({"text": [text, ""]})
    ids = (made["marked_ids"][0] >> 1).tolist()
    sizes = made["sentence_lengths"][0].tolist()
    assert sum(sizes) == len(ids)
    parts = np.split(ids, np.cumsum(sizes)[:-1])
    expected = [
        tokenizer(part, add_special_tokens=False)["input_ids"] for part in ("w1 w2.", "w3 w4 w5!", "w6", "w7 w8")
    ]
    assert [part.tolist() for part in parts] == expected
    assert made["sentence_lengths"][1].tolist() == []


def test_an_encoder_travels_to_other_processes():
    pytest.importorskip("rjieba")
    encoder = TokenEncoder(build_tokenizer([CHINESE], level="character", min_count=1), "key", segmenter="rjieba")
    before = encoder({"text": [CHINESE]})["marked_ids"][0]
    assert pickle.loads(pickle.dumps(encoder))({"text": [CHINESE]})["marked_ids"][0].tolist() == before.tolist()


@pytest.mark.parametrize("change", [{"corpus_key": "other"}, {"segmenter": "rjieba"}, {"sentences": True}])
def test_whatever_decides_the_tokens_names_them_in_the_cache(change):
    tokenizer = word_tokenizer()
    key = TokenEncoder(tokenizer, "key").cache_key(None)
    assert TokenEncoder(tokenizer, "key").cache_key(None) == key
    assert TokenEncoder(tokenizer, **{"corpus_key": "key", **change}).cache_key(None) != key
    other = word_tokenizer()
    other.add_tokens("more")
    assert TokenEncoder(other, "key").cache_key(None) != key


def test_slow_tokenizers_are_refused():
    fails(lambda: TokenEncoder(SimpleNamespace(is_fast=False), "key"), "is a slow tokenizer")


def test_rjieba_finds_words():
    pytest.importorskip("rjieba")
    cut = load_segmenter("rjieba")
    assert cut("我爱北京天安门") == ["我", "爱", "北京", "天安门"]
    for text in ("", "第一回 宴桃园\n\t豪杰", "a b  c", "😀𠮷野家", "＊％…——"):
        assert "".join(cut(text)) == text


def test_a_segmenter_is_asked_for_only_where_words_of_chinese_matter(monkeypatch):
    monkeypatch.setitem(SEGMENTERS, "rjieba", lambda: list)
    assert choose_segmenter("auto", "token", [CHINESE]) is None
    assert choose_segmenter("none", "whole_word", [CHINESE]) is None
    assert choose_segmenter("auto", "whole_word", ["all in English", ""]) is None
    assert choose_segmenter("auto", "span", ["all in English", CHINESE]) == "rjieba"
    assert is_chinese(CHINESE)
    assert not is_chinese("x" * 200 + CHINESE * 10)


def test_a_missing_segmenter_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rjieba", None)
    fails(lambda: choose_segmenter("auto", "whole_word", [CHINESE]), "rjieba", "pip install 'hf_ext[zh]'")
    fails(lambda: choose_segmenter("rjeba", "whole_word", [CHINESE]), "no such segmenter", "did you mean 'rjieba'")
