"""Words become the text that they were, and are found in it again."""

from __future__ import annotations

import pytest

from hf_ext.evaluation.words_as_text import join_words, place_words


@pytest.mark.parametrize(
    ("words", "level", "text"),
    [
        (["Ann", "Lee", "left", "."], "word", "Ann Lee left ."),
        (["在", "Paris", "工作"], "word", "在Paris工作"),
        (["A", "", "B"], "word", "A B"),
        (["王", "小", "明"], "character", "王小明"),
        (["a", " ", "b"], "character", "a b"),
        ([], "word", ""),
    ],
)
def test_words_are_joined_and_found(words, level, text):
    joined = join_words(words, level)
    assert joined == text
    assert [joined[start:end] for start, end in place_words(words, joined)] == words


def test_repeated_words_are_found_one_after_the_other():
    assert place_words(["a", "aa", "a"], "a aa a") == [(0, 1), (2, 4), (5, 6)]
    with pytest.raises(ValueError, match="substring not found"):
        place_words(["b", "a"], "a b")
