"""Which tokens of a row are to be predicted: tokens, whole words, or spans of words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_ext.data.pretraining.draws import draw, scale, unit_interval

Grid = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Keys = NDArray[np.uint64]

ORDER, TURN, SPAN_LENGTH, SPAN_PHASE = range(4)  # what a draw is for; ``replacement`` has the numbers after these
COLUMN_BITS = np.uint64(24)
COLUMN = np.uint64(2**24 - 1)
CORRECTIONS = 4  # passes in which a row comes closer to its number of tokens


@dataclass(frozen=True)
class Units:
    """Where the words and the spans of a batch begin; a span begins where a word does.

    Args:
        words: Where a word begins, which is masked as a whole or not at all, shape ``(B, T)``.
        spans: Where a span of words begins, which are masked together as far as the number of tokens allows,
            shape ``(B, T)``.
    """

    words: Grid
    spans: Grid


def mask_tokens(maskable: Grid, word_starts: Grid, keys: Keys, **_: float) -> Units:
    """Take every token by itself (Devlin et al., 2019, arXiv:1810.04805, section 3.1).

    When: the usual objective, and the one that a published BERT was trained with.
    """
    every = np.ones_like(maskable)
    return Units(every, every)


def mask_whole_words(maskable: Grid, word_starts: Grid, keys: Keys, **_: float) -> Units:
    """Take all tokens of a word (Cui et al., 2021, arXiv:1906.08101, section 3.1).

    When: words of several tokens are easy to guess from their other tokens, as in Chinese by characters.
    """
    words = _clean_starts(maskable, word_starts)
    return Units(words, words)


def mask_spans(
    maskable: Grid, word_starts: Grid, keys: Keys, *, max_span_length: int, span_probability: float
) -> Units:
    """Take words that stand beside one another (Joshi et al., 2020, SpanBERT, arXiv:1907.10529, section 3.1).

    A row is laid out in spans, one after the other, whose numbers of words have SpanBERT's distribution: geometric,
    without what is longer than ``max_span_length`` words; with its 0.2 and 10 they have 3.8 words in the mean. No
    span crosses a special token. SpanBERT draws where a span begins and may draw a word twice; here it cannot.

    When: tasks that ask for spans, such as reading comprehension and entities.
    """
    words = _clean_starts(maskable, word_starts)
    rows, size = maskable.shape
    first = np.flatnonzero(words)
    counts = words.sum(axis=1)
    most = int(counts.max(initial=0))
    lengths = _draw_span_lengths(keys, most, max_span_length, span_probability)  # (B, most)
    phase = scale(draw(keys, np.zeros(rows, dtype=np.int64), purpose=SPAN_PHASE), lengths[:, 0])
    ends = lengths.cumsum(axis=1) - phase[:, None]  # (B, most): the word after each span
    before = counts.cumsum() - counts
    spans = np.zeros(rows * size, dtype=bool)
    spans[first[(ends + before[:, None])[ends < counts[:, None]]]] = True
    return Units(words, spans.reshape(rows, size) | _breaks(maskable))


def choose_tokens(
    maskable: Grid, word_starts: Grid, keys: Keys, *, masking: str, probability: float, **settings: float
) -> Grid:
    """Choose the tokens of each row that are to be predicted.

    The spans of a row are put on a circle in random order, token by token, and a window as long as the number of
    tokens to mask is put anywhere on it; the words that begin inside are chosen. So every word is chosen with the same
    probability, however long it is and wherever it stands. The last of them may reach out of the window, and one that
    begins before it is not chosen, which makes the row some tokens too long or too short. That is corrected by words
    that are given back or taken in addition, in random order, none of them longer than what is still amiss. As both
    happen equally often, the probabilities hardly change; a word longer than the difference stays as it was drawn.

    The number of tokens to mask is ``probability`` times the maskable ones, rounded, and at least one. Whole words can
    miss it only in a row without words short enough, by less than the longest word.

    Args:
        maskable: Tokens that may be masked: neither special nor padding, shape ``(B, T)``; padding stands on the right.
        word_starts: Where a word begins, shape ``(B, T)``; at and after a token that is not maskable one begins anyway.
        keys: The random key of each row, see ``row_keys``, shape ``(B,)``.
        masking: A name in ``MASKINGS``.
        probability: Which part of the maskable tokens is masked.
        **settings: ``max_span_length`` (words) and ``span_probability`` of the spans.

    Returns:
        True at the tokens to predict, shape ``(B, T)``. They depend on a row's own tokens and key alone.
    """
    units = MASKINGS[masking](maskable, word_starts, keys, **settings)
    rows, size = maskable.shape
    places = _lay_out(units.spans, maskable, keys) + np.arange(rows)[:, None] * size  # (B, T): into the flat batch
    starts = units.words.ravel()[places]  # (B, T): along the circle
    first = np.flatnonzero(starts)
    row = np.repeat(np.arange(rows), starts.sum(axis=1))
    length = _distances(first, rows * size)
    total = maskable.sum(axis=1)
    budget = np.maximum(np.floor(probability * total + 0.5).astype(np.int64), np.minimum(total, 1))
    turn = scale(draw(keys, np.zeros(rows, dtype=np.int64), purpose=TURN), total)
    place = first - row * size
    turned = place - turn[row]
    turned += np.where(turned < 0, total[row], 0)
    usable = place < total[row]
    chosen = _correct((turned < budget[row]) & usable, usable, length=length, row=row, budget=budget)
    result = np.zeros(rows * size, dtype=bool)
    result[places.ravel()] = np.repeat(chosen, length)
    return result.reshape(rows, size)


def _lay_out(spans: Grid, maskable: Grid, keys: Keys) -> Numbers:
    """Sort the tokens of each row by span, the spans at random: the columns in that order, maskable ones first."""
    rows, size = spans.shape
    first = np.flatnonzero(spans)
    row = np.repeat(np.arange(rows), spans.sum(axis=1))
    drawn = draw(keys[row], first - row * size, purpose=ORDER)
    ranks = np.repeat(drawn, _distances(first, rows * size)).reshape(rows, size)  # (B, T)
    ranks = np.where(maskable, ranks >> np.uint64(1), ~np.uint64(0))
    columns = np.arange(size, dtype=np.uint64)
    return (np.sort((ranks & ~COLUMN) | columns, axis=1) & COLUMN).astype(np.int64)


def _correct(chosen: Grid, usable: Grid, *, length: Numbers, row: Numbers, budget: Numbers) -> Grid:
    """Bring the number of chosen tokens of each row to its budget; all but the budget is by word, in random order."""
    counts = np.bincount(row, minlength=len(budget))
    before = counts.cumsum() - counts
    for _ in range(CORRECTIONS):
        missing = budget - np.add.reduceat(length * chosen, before)
        if not missing.any():
            return chosen
        gap = missing[row]
        candidates = usable & (chosen != (gap > 0)) & (length <= abs(gap))
        running = np.cumsum(length * candidates)
        running -= (running - length * candidates)[before][row]
        chosen = chosen ^ (candidates & (running <= abs(gap)))
    empty = (np.add.reduceat(chosen.astype(np.int64), before) == 0) & (budget > 0)
    chosen[before[empty]] = True
    return chosen


def _distances(first: Numbers, end: int) -> Numbers:
    """Measure from each place to the next one, from the last one to the end."""
    distances = np.empty_like(first)
    np.subtract(first[1:], first[:-1], out=distances[:-1])
    distances[-1] = end - first[-1]
    return distances


def _clean_starts(maskable: Grid, word_starts: Grid) -> Grid:
    return word_starts | _breaks(maskable)


def _breaks(maskable: Grid) -> Grid:
    """Say where a word begins in any case: at the front, at a token that is not maskable, and after it."""
    breaks = ~maskable
    breaks[:, 1:] |= ~maskable[:, :-1]
    breaks[:, :1] = True
    return breaks


def _draw_span_lengths(keys: Keys, most: int, max_span_length: int, span_probability: float) -> Numbers:
    weights = span_probability * (1.0 - span_probability) ** np.arange(max_span_length)
    reached = np.cumsum(weights / weights.sum())[:-1]
    drawn = draw(keys[:, None], np.arange(most)[None], purpose=SPAN_LENGTH)
    return np.searchsorted(reached, unit_interval(drawn), side="right") + 1


MASKINGS: dict[str, Callable[..., Units]] = {
    "token": mask_tokens,
    "whole_word": mask_whole_words,
    "span": mask_spans,
}
