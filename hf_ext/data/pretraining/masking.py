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
    runs = _Runs(words)
    lengths = _draw_span_lengths(keys, int(runs.counts.max()), max_span_length, span_probability)  # (B, W)
    phase = scale(draw(keys, np.zeros(len(keys), dtype=np.int64), purpose=SPAN_PHASE), lengths[:, 0])
    ends = lengths.cumsum(axis=1) - phase[:, None]  # (B, W): the word after each span
    inside = ends < runs.counts[:, None]
    spans = np.zeros(words.size, dtype=bool)
    spans[runs.first[(ends + runs.before[:, None])[inside]]] = True
    return Units(words, spans.reshape(words.shape) | _breaks(maskable))


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
    words = _Runs(units.words.ravel()[places])  # along the circle
    total = maskable.sum(axis=1, keepdims=True)  # (B, 1)
    budget = np.maximum(np.floor(probability * total + 0.5).astype(np.int64), np.minimum(total, 1))
    begin = scale(draw(keys[:, None], np.zeros((1, 1), dtype=np.int64), purpose=TURN), total)
    end, columns = begin + budget, np.arange(size)
    window = (columns >= begin) & (columns < end) | (
        columns < end - total
    )  # (B, T): what goes past the end comes round
    usable = (columns < total).ravel()[words.first]
    chosen = window.ravel()[words.first] & usable
    result = np.zeros(rows * size, dtype=bool)
    result[places.ravel()] = np.repeat(_correct(chosen, usable, words, budget[:, 0]), words.length)
    return result.reshape(rows, size)


class _Runs:
    """The words, or spans, that a batch is made of, one row after the other.

    Args:
        starts: Where one begins, shape ``(B, T)``; at the first token of a row in any case.
    """

    def __init__(self, starts: Grid) -> None:
        rows, size = starts.shape
        self.first = np.flatnonzero(starts)  # where each begins in the flat batch
        self.length = np.empty_like(self.first)  # tokens
        np.subtract(self.first[1:], self.first[:-1], out=self.length[:-1])
        self.length[-1:] = rows * size - self.first[-1:]
        self.before = self.first.searchsorted(np.arange(rows) * size)  # how many the rows before have
        self.counts = np.append(self.before[1:], len(self.first)) - self.before
        self.row = np.repeat(np.arange(rows), self.counts)
        self.column = self.first - self.row * size


def _lay_out(span_starts: Grid, maskable: Grid, keys: Keys) -> Numbers:
    """Sort the tokens of each row by span, the spans at random: the columns in that order, maskable ones first."""
    spans = _Runs(span_starts)
    drawn = (draw(keys[spans.row], spans.column, purpose=ORDER) >> np.uint64(1)) & ~COLUMN
    ranks = np.repeat(drawn, spans.length).reshape(maskable.shape)  # (B, T)
    ranks = np.where(maskable, ranks, ~COLUMN) | np.arange(maskable.shape[1], dtype=np.uint64)
    return (np.sort(ranks, axis=1) & COLUMN).view(np.int64)


def _correct(chosen: Grid, usable: Grid, words: _Runs, budget: Numbers) -> Grid:
    """Bring the number of chosen tokens of each row to its budget: by whole words, in random order."""
    for _ in range(CORRECTIONS):
        missing = budget - np.add.reduceat(words.length * chosen, words.before)
        if not missing.any():
            return chosen
        gap = missing[words.row]
        size = np.abs(gap)
        candidates = (words.length <= size) & (chosen != (gap > 0)) & usable
        running = np.cumsum(words.length * candidates)
        running -= np.repeat(np.append(0, running)[words.before], words.counts)
        chosen = chosen ^ (candidates & (running <= size))
    empty = (np.add.reduceat(chosen.astype(np.int64), words.before) == 0) & (budget > 0)
    chosen[words.before[empty]] = True
    return chosen


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
