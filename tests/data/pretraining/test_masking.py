"""Which tokens are masked: a plain-Python reference, the rate, whole words, equal chances, independence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ext.data.pretraining.draws import draw, row_keys, scale
from hf_ext.data.pretraining.masking import (
    CORRECTIONS,
    MASKINGS,
    ORDER,
    SPAN_LENGTH,
    SPAN_PHASE,
    choose_tokens,
    mask_spans,
)

SPANS = {"max_span_length": 10, "span_probability": 0.2}
# tokens of a word -> how often, as in English by WordPiece and in Chinese by characters
ENGLISH = {1: 0.75, 2: 0.14, 3: 0.07, 5: 0.03, 8: 0.01}
CHINESE = {1: 0.45, 2: 0.45, 3: 0.06, 4: 0.04}


def choose(maskable, word_starts, *, masking="whole_word", probability=0.15, epoch=0, seed=3, rows=None) -> np.ndarray:
    keys = row_keys(seed, epoch, np.arange(len(maskable)) if rows is None else rows)
    return choose_tokens(maskable, word_starts, keys, masking=masking, probability=probability, **SPANS)


def rows_of_words(words: dict[int, float], *, rows: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make rows between two special tokens: what may be masked, and where a word begins."""
    random = np.random.default_rng(seed)
    maskable = np.ones((rows, size), dtype=bool)
    maskable[:, [0, -1]] = False
    starts = np.zeros((rows, size), dtype=bool)
    for row in starts:
        begins = np.cumsum(random.choice(list(words), p=list(words.values()), size=size))
        row[[1, *(begins[begins < size - 2] + 1)]] = True
    return maskable, starts | ~maskable


def word_numbers(maskable, word_starts) -> np.ndarray:
    """Number the words of each row; a special token is a word."""
    before = np.pad(~maskable, ((0, 0), (1, 0)))[:, :-1]
    return np.cumsum(word_starts | ~maskable | before, axis=1)


def random_batch(rows: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a padded batch: real tokens, some of them special, words of any length."""
    random = np.random.default_rng(seed)
    real = np.arange(size) < random.integers(1, size + 1, (rows, 1))
    maskable = real & (random.random((rows, size)) < random.choice([0.8, 1.0]))
    return maskable, random.random((rows, size)) < random.choice([0.1, 0.5, 0.9])


BATCHES = st.builds(random_batch, st.integers(1, 4), st.integers(1, 40), st.integers(0, 2**32))


# --- the reference ---------------------------------------------------------------------------------------------------


def reference(maskable, starts, key, *, masking, probability, max_span_length, span_probability) -> set[int]:
    """Choose the tokens of one row as the documentation says, one word after the other."""

    def drawn(counter: int, purpose: int) -> int:
        return int(draw(key, np.array([counter]), purpose=purpose)[0])

    words: list[list[int]] = []  # columns
    for column, usable in enumerate(maskable):
        if masking == "token" or column == 0 or starts[column] or not usable or not maskable[column - 1]:
            words.append([])
        words[-1].append(column)
    spans = [[word] for word in words]
    if masking == "span":
        weights = [span_probability * (1 - span_probability) ** n for n in range(max_span_length)]
        lengths = []
        for number in range(len(words)):
            rest, length = (drawn(number, SPAN_LENGTH) >> 11) / 2**53 * sum(weights), 0
            while length < max_span_length - 1 and rest >= weights[length]:
                rest, length = rest - weights[length], length + 1
            lengths.append(length + 1)
        phase = int(scale(draw(key, np.array([0]), purpose=SPAN_PHASE), lengths[0])[0])
        begins = {0} | set(np.cumsum(lengths) - phase)
        spans = []
        for number, word in enumerate(words):
            if number in begins or not maskable[word[0]] or not maskable[word[0] - 1]:
                spans.append([])
            spans[-1].append(word)
    spans = [span for span in spans if maskable[span[0][0]]]
    spans.sort(key=lambda span: drawn(span[0][0], ORDER) >> 41)
    circle = [word for span in spans for word in span]
    total = sum(map(len, circle))
    if not total:
        return set()
    budget = max(1, int(probability * total + 0.5))
    turn = int(scale(key, total)[0])
    chosen, place = [], 0
    for word in circle:
        chosen.append((place - turn) % total < budget)
        place += len(word)
    for _ in range(CORRECTIONS):
        missing = budget - sum(len(word) for word, taken in zip(circle, chosen, strict=True) if taken)
        running = 0
        for number, word in enumerate(circle):
            if len(word) <= abs(missing) and chosen[number] != (missing > 0):
                running += len(word)
                chosen[number] ^= running <= abs(missing)
    if not any(chosen):
        chosen[0] = True
    return {column for word, taken in zip(circle, chosen, strict=True) if taken for column in word}


@pytest.mark.parametrize("masking", MASKINGS)
@settings(max_examples=60, deadline=None)
@given(batch=BATCHES, epoch=st.integers(0, 5), probability=st.sampled_from([0.15, 0.4]))
def test_the_tokens_are_those_of_the_reference(masking, batch, epoch, probability):
    maskable, starts = batch
    chosen = choose(maskable, starts, masking=masking, epoch=epoch, probability=probability)
    for number, row in enumerate(chosen):
        key = row_keys(3, epoch, [number])
        expected = reference(maskable[number], starts[number], key, masking=masking, probability=probability, **SPANS)
        assert set(np.flatnonzero(row)) == expected


# --- the rate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("words", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_every_row_of_512_tokens_is_masked_to_within_one_percent(masking, words):
    maskable, starts = rows_of_words(words, rows=64, size=512)
    rates = [choose(maskable, starts, masking=masking, epoch=epoch).sum(1) / 510 for epoch in range(8)]
    assert np.abs(np.array(rates) - 0.15).max() < 0.002  # the budget itself, 77 tokens, is 0.001 away


@settings(max_examples=60, deadline=None)
@given(batch=BATCHES, probability=st.floats(0.05, 0.5))
def test_tokens_are_masked_to_the_number(batch, probability):
    maskable, starts = batch
    total = maskable.sum(1)
    budget = np.maximum(np.floor(probability * total + 0.5), np.minimum(total, 1))
    assert (choose(maskable, starts, masking="token", probability=probability).sum(1) == budget).all()


@settings(max_examples=100, deadline=None)
@given(batch=BATCHES, masking=st.sampled_from(["whole_word", "span"]))
def test_whole_words_miss_the_number_by_less_than_the_longest_word(batch, masking):
    maskable, starts = batch
    chosen, numbers = choose(maskable, starts, masking=masking), word_numbers(maskable, starts)
    for row in range(len(maskable)):
        lengths = np.bincount(numbers[row][maskable[row]])
        total = maskable[row].sum()
        budget = max(np.floor(0.15 * total + 0.5), min(total, 1))
        assert abs(chosen[row].sum() - budget) < max(lengths.max(initial=0), 1)


def test_a_row_of_one_long_word_is_masked_all_the_same():
    maskable = np.array([[False] + [True] * 9 + [False]])
    starts = np.array([[True, True] + [False] * 8 + [True]])
    assert choose(maskable, starts).sum() == 9


def test_a_row_without_anything_to_mask_is_left_alone():
    nothing = np.zeros((2, 5), dtype=bool)
    for masking in MASKINGS:
        assert not choose(nothing, nothing, masking=masking).any()


# --- words and special tokens ----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(batch=BATCHES, masking=st.sampled_from(["whole_word", "span"]))
def test_words_are_masked_as_a_whole_and_special_tokens_never(batch, masking):
    maskable, starts = batch
    chosen, numbers = choose(maskable, starts, masking=masking), word_numbers(maskable, starts)
    assert not chosen[~maskable].any()
    for row in range(len(maskable)):
        inside = set(numbers[row][chosen[row]])
        assert not inside & set(numbers[row][maskable[row] & ~chosen[row]])


def test_spans_are_as_long_as_those_of_spanbert():
    maskable, starts = np.ones((200, 512), dtype=bool), np.ones((200, 512), dtype=bool)
    anchors = mask_spans(maskable, starts, row_keys(0, 0, np.arange(200)), **SPANS).anchors.reshape(200, 512)
    lengths = np.concatenate([np.unique(row, return_counts=True)[1][1:-1] for row in anchors])
    assert lengths.mean() == pytest.approx(3.8, abs=0.05)  # section 3.1 of the paper
    shares = np.bincount(lengths, minlength=11)[1:] / len(lengths)
    expected = 0.2 * 0.8 ** np.arange(10)
    assert np.abs(shares - expected / expected.sum()).max() < 0.01


def test_very_long_spans_cost_no_more_than_short_ones():
    maskable, starts = np.ones((4, 512), dtype=bool), np.ones((4, 512), dtype=bool)
    limits = {"max_span_length": 10**9, "span_probability": 1e-6}
    anchors = mask_spans(maskable, starts, row_keys(0, 0, np.arange(4)), **limits).anchors.reshape(4, 512)
    assert all(len(np.unique(row)) <= 2 for row in anchors)  # a million words in the mean


def test_masked_words_stand_together_in_spans():
    maskable, starts = rows_of_words({1: 1.0}, rows=200, size=512)

    def mean_run(masking: str) -> float:
        chosen = choose(maskable, starts, masking=masking)
        return chosen.sum() / (chosen[:, 1:] & ~chosen[:, :-1]).sum()

    assert mean_run("whole_word") == pytest.approx(1 / 0.85, abs=0.05)  # as if drawn one by one
    assert mean_run("span") > 3.5


# --- equal chances ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize(("words", "size"), [(ENGLISH, 512), (CHINESE, 512), (CHINESE, 128)])
def test_every_word_is_masked_equally_often_however_long_it_is(masking, words, size):
    maskable, starts = rows_of_words(words, rows=100, size=size)
    times = 4 * 512 // size
    shares = sum(choose(maskable, starts, masking=masking, epoch=epoch) for epoch in range(times)) / times
    expected = choose(maskable, starts, masking=masking).sum() / maskable.sum()
    numbers = word_numbers(maskable, starts) + 1000 * np.arange(100)[:, None]
    lengths = np.bincount(numbers[maskable], minlength=numbers.max() + 1)[numbers]
    for length in words:
        of_length = shares[maskable & (lengths == length)]
        spread = (expected * (1 - expected) / (len(of_length) / length * times)) ** 0.5
        assert of_length.mean() == pytest.approx(expected, abs=0.002 + 4 * spread), length


@pytest.mark.parametrize("masking", MASKINGS)
def test_every_position_is_masked_equally_often(masking):
    maskable, starts = rows_of_words(CHINESE, rows=2000, size=66)
    shares = choose(maskable, starts, masking=masking).mean(0)[1:-1]
    expected = shares.mean()
    spread = (expected * (1 - expected) / 2000) ** 0.5
    assert np.abs(shares - expected).max() < 4.5 * spread
    assert shares[:8].mean() == pytest.approx(shares[-8:].mean(), abs=0.02)


def test_epochs_mask_other_tokens():
    maskable, starts = rows_of_words(CHINESE, rows=50, size=128)
    first, second = (choose(maskable, starts, epoch=epoch) for epoch in (0, 1))
    assert (first & second).sum() / first.sum() == pytest.approx(
        0.15, abs=0.03
    )  # as if they knew nothing of each other


# --- a row by itself -------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(batch=BATCHES, masking=st.sampled_from(list(MASKINGS)), more=st.integers(0, 9), random=st.randoms())
def test_a_row_is_masked_the_same_whatever_the_batch_its_order_and_its_padding(batch, masking, more, random):
    maskable, starts = batch
    together = choose(maskable, starts, masking=masking)
    padded = [np.pad(values, ((0, 0), (0, more))) for values in batch]
    order = random.sample(range(len(maskable)), len(maskable))
    assert (
        choose(*(values[order] for values in padded), masking=masking, rows=order)[:, : maskable.shape[1]]
        == together[order]
    ).all()
    alone = [choose(maskable[[row]], starts[[row]], masking=masking, rows=[row])[0] for row in range(len(maskable))]
    assert (np.array(alone) == together).all()
