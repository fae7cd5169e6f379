"""Which tokens of a row are to be predicted: tokens, whole words, or spans of words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_ext.data.pretraining.draws import draw, scale, unit_interval
from hf_ext.data.pretraining.runs import Runs

Grid = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Keys = NDArray[np.uint64]

ORDER, SPAN_LENGTH, SPAN_PHASE = range(3)  # what a draw is for; ``replacement`` has the numbers after these
CORRECTIONS = 4  # passes in which a row comes closer to its number of tokens
# A number to sort words by holds, from its highest bit, 16 of the row, 24 of the place in the row, 24 of the word.
ROW_SHIFT, RANK_SHIFT, RANK_BITS = np.uint64(48), np.uint64(24), np.uint64(23)
UNUSABLE = np.uint64(2**23)  # the place of what cannot be masked: behind all others
WORD = np.uint64(2**24 - 1)


class Units(NamedTuple):
    """What is masked together.

    Args:
        words: The words of a batch, each of which is masked as a whole or not at all.
        anchors: The column that the span of each word begins at; the words of a span are masked together as far as
            the number of tokens allows.
    """

    words: Runs
    anchors: Numbers


def mask_tokens(maskable: Grid, word_starts: Grid, keys: Keys, **_: float) -> Units:
    """Take every token by itself (Devlin et al., 2019, arXiv:1810.04805, section 3.1).

    When: the usual objective, and the one that a published BERT was trained with.
    """
    tokens = Runs(np.ones_like(maskable))
    return Units(tokens, tokens.column)


def mask_whole_words(maskable: Grid, word_starts: Grid, keys: Keys, **_: float) -> Units:
    """Take all tokens of a word (Cui et al., 2021, arXiv:1906.08101, section 3.1).

    When: words of several tokens are easy to guess from their other tokens, as in Chinese by characters.
    """
    words = Runs(word_starts | _breaks(maskable))
    return Units(words, words.column)


def mask_spans(
    maskable: Grid, word_starts: Grid, keys: Keys, *, max_span_length: int, span_probability: float
) -> Units:
    """Take words that stand beside one another (Joshi et al., 2020, SpanBERT, arXiv:1907.10529, section 3.1).

    A row is laid out in spans, one after the other, whose numbers of words have SpanBERT's distribution: geometric,
    without what is longer than ``max_span_length`` words; with its 0.2 and 10 they have 3.8 words in the mean. No
    span crosses a special token. SpanBERT draws where a span begins and may draw a word twice; here it cannot.

    When: tasks that ask for spans, such as reading comprehension and entities.
    """
    breaks = _breaks(maskable)
    words = Runs(word_starts | breaks)
    lengths = _draw_span_lengths(keys, int(words.counts.max()), max_span_length, span_probability)  # (B, W)
    phase = scale(draw(keys, np.zeros(len(keys), dtype=np.int64), purpose=SPAN_PHASE), lengths[:, 0])
    ends = lengths.cumsum(axis=1) - phase[:, None]  # (B, W): the word after each span
    starts = breaks.ravel()[words.first]
    starts[(ends + words.before[:, None])[ends < words.counts[:, None]]] = True
    first = np.flatnonzero(starts)
    return Units(words, np.repeat(words.column[first], np.diff(first, append=len(starts))))


def choose_tokens(
    maskable: Grid, word_starts: Grid, keys: Keys, *, masking: str, probability: float, **settings: float
) -> Grid:
    """Choose the tokens of each row that are to be predicted.

    The spans of a row are put on a circle in random order, token by token, and a window as long as the number of
    tokens to mask is put anywhere on it; the words that begin inside are chosen. So every word is chosen with the same
    probability, however long it is and wherever it stands. The last of them may reach out of the window, and one that
    begins before it is not chosen, which makes the row some tokens too long or too short. That is corrected by words
    that are given back or taken in addition, in random order, none of them longer than what is still amiss; a word
    longer than the difference stays as it was drawn.

    The number of tokens to mask is ``probability`` times the maskable ones, rounded, and at least one. Whole words can
    miss it only in a row without words short enough, by less than the longest word. As words are given back as often
    as taken, corrections hardly change the probabilities: measured in rows of 128 and 512 tokens, English and Chinese
    words of every length are masked as often as all tokens, 15.1 %, to within 0.1 points. It is otherwise where few
    words are short: in English by letters, words of one letter are at 16 % in rows of 512 and at 20 % in rows of 128.

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
    words, anchors = MASKINGS[masking](maskable, word_starts, keys, **settings)
    order = _shuffle(words, anchors, maskable, keys)
    length = words.length[order]
    total = maskable.sum(axis=1, keepdims=True)  # (B, 1)
    budget = np.maximum((probability * total + 0.5).astype(np.int64), np.minimum(total, 1))
    begin = scale(keys[:, None], total)  # a key is as good as a draw
    end, columns = begin + budget, np.arange(maskable.shape[1])
    window = (columns >= begin) & (columns < end)  # (B, T): along the circle
    window |= columns < end - total  # what goes past the end comes round
    place = np.cumsum(length) - length  # where the word begins on its circle; the circles one after the other
    usable = (columns < total).ravel()[place]
    chosen = np.empty_like(usable)
    chosen[order] = _correct(window.ravel()[place] & usable, usable, length, words=words, budget=budget[:, 0])
    return np.repeat(chosen, words.length).reshape(maskable.shape)


def _shuffle(words: Runs, anchors: Numbers, maskable: Grid, keys: Keys) -> Numbers:
    """Order the words of each row: by span, the spans at random, and behind them what cannot be masked."""
    ranks = draw(keys[words.row], anchors, purpose=ORDER) >> (np.uint64(64) - RANK_BITS)
    ranks = np.where(maskable.ravel()[words.first], ranks, UNUSABLE)
    rows = np.repeat(np.arange(len(keys), dtype=np.uint64) << ROW_SHIFT, words.counts)
    numbers = rows | (ranks << RANK_SHIFT) | np.arange(len(ranks), dtype=np.uint64)
    return (np.sort(numbers) & WORD).view(np.int64)


def _correct(chosen: Grid, usable: Grid, length: Numbers, *, words: Runs, budget: Numbers) -> Grid:
    """Bring the number of chosen tokens of each row to its budget: by whole words, in the order of the circle."""
    missing = budget - np.add.reduceat(length * chosen, words.before)  # (B,)
    if not missing.any():
        return chosen
    left, adds, all_rows = np.abs(missing), missing > 0, np.arange(len(missing))
    candidates = np.flatnonzero((length <= left[words.row]) & (chosen != adds[words.row]) & usable)
    row, size = words.row[candidates], length[candidates]
    for _ in range(CORRECTIONS):
        if not len(candidates):
            break
        running = np.zeros(len(size) + 1, dtype=np.int64)
        np.cumsum(size, out=running[1:])
        before = running[row.searchsorted(all_rows)]  # (B,): what the rows before have
        fits = running[1:] - before[row] <= left[row]
        chosen[candidates[fits]] ^= True
        left = left - np.bincount(row[fits], size[fits], len(left)).astype(np.int64)
        rest = ~fits & (size <= left[row])
        candidates, row, size = candidates[rest], row[rest], size[rest]
    chosen[words.before[adds & (left == budget)]] = True  # of a row without any the first word
    return chosen


def _breaks(maskable: Grid) -> Grid:
    """Say where a word begins in any case: at the front, at a token that is not maskable, and after it."""
    breaks = ~maskable
    breaks[:, 1:] |= ~maskable[:, :-1]
    breaks[:, :1] = True
    return breaks


def _draw_span_lengths(keys: Keys, most: int, max_span_length: int, span_probability: float) -> Numbers:
    drawn = unit_interval(draw(keys[:, None], np.arange(most)[None], purpose=SPAN_LENGTH))  # (B, W)
    ends = math.log1p(-span_probability)  # log of the probability that a span goes on after a word
    within = -math.expm1(ends * max_span_length)  # the probability of no more than that many words
    lengths = np.log1p(-within * drawn) / ends  # the geometric distribution function, inverted
    return np.minimum(lengths.astype(np.int64) + 1, max_span_length)


MASKINGS: dict[str, Callable[..., Units]] = {
    "token": mask_tokens,
    "whole_word": mask_whole_words,
    "span": mask_spans,
}
