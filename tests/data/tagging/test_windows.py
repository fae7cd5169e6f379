from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ext.data.tagging.windows import Window, plan_windows


@st.composite
def sentences(draw):
    capacity = draw(st.integers(1, 12))
    sizes = draw(st.lists(st.integers(1, capacity), max_size=40))
    return sizes, capacity, draw(st.integers(0, capacity))


def distance(sizes: list[int], window: Window, word: int) -> float:
    """Tokens between a word and the nearer edge of a window; an end of the sentence is no edge."""
    left = math.inf if window.first == 0 else sum(sizes[window.first : word])
    right = math.inf if window.end == len(sizes) else sum(sizes[word + 1 : window.end])
    return min(left, right)


@settings(max_examples=250, deadline=None)
@given(sentences())
def test_every_word_is_owned_once_by_the_window_where_it_stands_furthest_from_an_edge(case):
    sizes, capacity, overlap = case
    windows = plan_windows(sizes, capacity, overlap)
    owners = [window for window in windows for _ in range(window.owned_first, window.owned_end)]
    assert [word for window in windows for word in range(window.owned_first, window.owned_end)] == [*range(len(sizes))]
    for word, owner in enumerate(owners):
        reached = [distance(sizes, window, word) for window in windows if window.first <= word < window.end]
        assert distance(sizes, owner, word) == max(reached)


@settings(max_examples=250, deadline=None)
@given(sentences())
def test_windows_fit_go_forward_and_share_no_more_than_asked(case):
    sizes, capacity, overlap = case
    windows = plan_windows(sizes, capacity, overlap)
    assert all(sum(sizes[window.first : window.end]) <= capacity for window in windows)
    assert all(window.first <= window.owned_first < window.owned_end <= window.end for window in windows)
    for before, after in itertools.pairwise(windows):
        assert before.first < after.first
        assert before.end < after.end
        assert sum(sizes[after.first : before.end]) <= overlap


def test_a_sentence_that_fits_is_one_window():
    assert plan_windows([1, 2, 3], 6, 2) == [Window(0, 3, 0, 3)]


def test_a_sentence_without_words_has_no_window():
    assert plan_windows([], 6, 2) == []


def test_ten_words_in_windows_of_six_by_hand():
    # 0 1 2 3 4 5 | 4 5 6 7 8 9 with two shared: word 4 has 1 word behind it in the first and none before it in the
    # second, word 5 none behind it and one before it
    assert plan_windows([1] * 10, 6, 2) == [Window(0, 6, 0, 5), Window(4, 10, 5, 10)]


def test_without_overlap_windows_stand_side_by_side():
    assert plan_windows([1] * 5, 2, 0) == [Window(0, 2, 0, 2), Window(2, 4, 2, 4), Window(4, 5, 4, 5)]


def test_a_long_word_shrinks_the_overlap_instead_of_stopping_the_windows():
    windows = plan_windows([1, 1, 1, 4, 1], 4, 3)
    assert [(window.first, window.end) for window in windows] == [(0, 3), (3, 4), (4, 5)]


def test_windows_are_planned_in_linear_time():
    assert len(plan_windows([1] * 200_000, 126, 31)) == 2105  # 1 + ceil((200000 - 126) / 95)


@pytest.mark.parametrize("sizes", [[0], [1, 5]])
def test_words_without_a_token_or_with_too_many_are_refused(sizes):
    with pytest.raises(ValueError, match="between 1 and 4"):
        plan_windows(sizes, 4, 1)
