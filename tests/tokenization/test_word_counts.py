"""Counts are exact within the budget and an unbiased sample beyond it, whatever the length of the text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hf_ext.tokenization.word_counts import WordCounts

TEXTS = [["the", "block", "the"], ["chain", "of", "blocks"], [], ["the", "of"]] * 50


def test_counts_are_exact_within_the_budget():
    counts = WordCounts(1000).count(TEXTS)
    assert counts.words == Counter(word for text in TEXTS for word in text)
    assert counts.characters == Counter(character for text in TEXTS for word in text for character in word)
    assert counts.inner_characters == {character for text in TEXTS for word in text for character in word[1:]}
    assert (counts.rate, counts.texts) == (1.0, len(TEXTS))


def test_lines_hold_every_word_as_often_as_it_was_counted():
    counts = WordCounts(1000).count(TEXTS)
    lines = list(counts.lines(words_a_line=7))
    assert Counter(" ".join(lines).split(" ")) == counts.words
    assert all(line.count(" ") == 6 for line in lines[:-1])


def test_the_table_never_stays_beyond_its_budget_and_characters_stay_exact():
    texts = [[f"w{i}x{j}" for j in range(5)] for i in range(3000)]
    counts = WordCounts(2000).count(texts)
    assert sum(map(len, counts.words)) <= 2000
    assert counts.rate < 1
    assert counts.characters == Counter(character for text in texts for word in text for character in word)


def test_beyond_the_budget_each_occurrence_is_kept_with_the_same_probability():
    # one frequent word among rare ones: its count, divided by the rate, estimates the truth without bias
    texts = [["often", f"r{i}a", f"r{i}b"] for i in range(4000)]
    estimates, rares = [], []
    for seed in range(20):
        counts = WordCounts(3000, seed=seed).count(texts)
        estimates.append(counts.words["often"] / counts.rate)
        rares.append((sum(counts.words.values()) - counts.words["often"]) / counts.rate)
    assert np.mean(estimates) == pytest.approx(4000, rel=0.05)
    assert np.mean(rares) == pytest.approx(8000, rel=0.05)


def test_the_same_seed_gives_the_same_sample():
    texts = [[f"w{i}", "the"] for i in range(3000)]
    first, second, other = (WordCounts(500, seed=seed).count(texts).words for seed in (1, 1, 2))
    assert first == second != other


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="budget"):
        WordCounts(0)
