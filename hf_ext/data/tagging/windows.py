"""Sentences longer than the model: overlapping windows of whole words, and which window answers for which word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple


class Window(NamedTuple):
    """A run of words of one sentence; all numbers are word numbers, ends are half-open.

    Args:
        first: The first word in the window.
        end: The word after the last one.
        owned_first: The first word that is trained and scored here.
        owned_end: The word after the last of those.
    """

    first: int
    end: int
    owned_first: int
    owned_end: int


def plan_windows(sizes: Sequence[int], capacity: int, overlap: int) -> list[Window]:
    """Cover a sentence with windows and give each word to the one where it stands furthest from an edge.

    Every window takes as many whole words as fit. The next one begins so that it shares at most ``overlap`` tokens
    with it, and fewer where long words would keep it from going further. The distance of a word is the number of
    tokens between it and the nearer edge of the window; the ends of the sentence are no edges. Of two windows with the
    same distance the first has the word. What a window owns is one run of words, since with later windows the left
    distance falls and the right one grows; a window that owns nothing is left out.

    Args:
        sizes: Tokens of each word, each between 1 and ``capacity``.
        capacity: Tokens that fit into a window beside the special ones.
        overlap: Tokens that neighbours may share.

    Returns:
        The windows in order; none for a sentence without words.

    Raises:
        ValueError: If a word has no token, or more than fit.
    """
    if any(not 1 <= size <= capacity for size in sizes):
        raise ValueError(f"every word needs between 1 and {capacity} tokens, got {list(sizes)}.")
    starts = [0, *accumulate(sizes)]  # starts[i]: tokens before word i
    ranges = _cover(starts, capacity, overlap)
    edges = [0]  # where the ownership of each window begins
    for (_, end), (following, _) in pairwise(ranges):
        word = max(following, edges[-1])
        while word < end and starts[word] - starts[following] <= starts[end] - starts[word + 1]:
            word += 1
        edges.append(word)
    edges.append(len(sizes))
    windows = (Window(*run, edges[i], edges[i + 1]) for i, run in enumerate(ranges))
    return [window for window in windows if window.owned_first < window.owned_end]


def _cover(starts: Sequence[int], capacity: int, overlap: int) -> list[tuple[int, int]]:
    count = len(starts) - 1
    ranges: list[tuple[int, int]] = []
    first = end = 0
    while end < count:
        while end < count and starts[end + 1] - starts[first] <= capacity:
            end += 1
        ranges.append((first, end))
        if end == count:
            break
        first += 1
        while starts[end] - starts[first] > overlap or starts[end + 1] - starts[first] > capacity:
            first += 1
    return ranges
