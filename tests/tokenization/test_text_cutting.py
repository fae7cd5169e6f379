"""Words are those of the tokenizer; only runs without blanks are cut further, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from hf_ext.tokenization.kinds import KINDS
from hf_ext.tokenization.text_cutting import LONGEST_PART, WordCutter, build_normalizer, build_pre_tokenizer


def backend(kind: str = "bpe", *, chinese_apart: bool = False, digits_apart: bool = False, **settings) -> Tokenizer:
    made = Tokenizer(models.WordLevel({}, unk_token="?"))
    made.normalizer = build_normalizer(**settings)
    made.pre_tokenizer = build_pre_tokenizer(
        lambda first: KINDS[kind]().pre_tokenizer(first=first), chinese_apart=chinese_apart, digits_apart=digits_apart
    )
    return made


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("ab 我们的é１，👍\u3000") | st.characters(codec="utf-8"), max_size=60))
def test_parts_put_together_are_what_the_tokenizer_cuts(kind, text):
    made = backend(kind)
    whole = made.pre_tokenizer.pre_tokenize_str(made.normalizer.normalize_str(text))
    for segmenter in (None, lambda run: [run[:3], run[3:]] if len(run) > 3 else [run]):
        assert "".join(WordCutter(made, segmenter)(text)) == "".join(word for word, _ in whole)


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe"])
def test_a_chinese_run_is_cut_every_eight_characters_without_a_segmenter(kind):
    run = "我们的病毒很新不要买房子东西存款" * 2
    words = WordCutter(backend(kind))(f"abc {run}")
    sizes = [len(word) // (3 if kind == "byte_bpe" else 1) for word in words[1:]]
    assert len(words) == 1 + len(run) // LONGEST_PART
    assert all(size <= LONGEST_PART + 1 for size in sizes)


def test_a_segmenter_cuts_chinese_and_nothing_else():
    words = WordCutter(backend("bpe"), lambda run: [run[:2], *run[2:]])("hello 我们的房 abcdefg")
    assert words == ["▁hello", "▁我们", "的", "房", "▁abcdefg"]


def test_bytes_are_cut_between_characters():
    made = backend("byte_bpe")
    words = WordCutter(made, lambda run: [run[:2], run[2:]])("我们病毒")
    expected = ["".join(w for w, _ in pre_tokenizers.ByteLevel(False).pre_tokenize_str(t)) for t in ("我们", "病毒")]
    assert [word.removeprefix("Ġ") for word in words] == expected


def test_chinese_and_digits_stand_apart_on_request():
    assert WordCutter(backend("wordpiece", chinese_apart=True))("ab我们12") == ["ab", "我", "们", "12"]
    assert WordCutter(backend("wordpiece", digits_apart=True))("ab 12") == ["ab", "1", "2"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"normalization": "nfkc"}, "AÉ 1"),
        ({"normalization": "nfc"}, "ＡÉ １"),
        ({"normalization": "none"}, "ＡE\u0301 １"),
        ({"normalization": "nfkc", "lower_case": True}, "aé 1"),
        ({"normalization": "nfkc", "lower_case": True, "strip_accents": True}, "ae 1"),
    ],
)
def test_normalisation_does_what_is_asked_and_no_more(settings, expected):
    assert build_normalizer(**settings).normalize_str("ＡE\u0301\t１") == expected
