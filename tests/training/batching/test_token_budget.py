"""Batches by tokens: within the budget, every row once, as many on every process and in every epoch."""

from __future__ import annotations

import numpy as np
import pytest
from test_length_grouping import title_lengths

from hf_ext.training.batching.token_budget import TokenBudgetBatches, choose_budget, cut_bands, even_out


def review_lengths(rows, seed=0):
    """Draw lengths as those of reviews: log-normal around 90, clipped to 20..302."""
    drawn = np.random.default_rng(seed).lognormal(np.log(90), 0.75, rows)
    return np.clip(drawn, 20, 302).astype(np.int64)


def batches_of(lengths, *, tokens, processes=1, epoch=0, seed=4):
    """Give the batches of each process in one epoch."""
    found = []
    for rank in range(processes):
        sampler = TokenBudgetBatches(lengths, tokens=tokens, seed=seed, processes=processes, rank=rank)
        sampler.set_epoch(epoch)
        found.append(list(sampler))
        assert len(found[-1]) == len(sampler)
    return found


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [8, 23, 500])
def test_every_row_comes_once_and_every_process_has_as_many_batches(rows, processes):
    lengths = review_lengths(rows)
    sizes = set()
    for epoch in range(3):
        found = batches_of(lengths, tokens=700, processes=processes, epoch=epoch)
        assert sorted(row for batches in found for batch in batches for row in batch) == list(range(rows))
        sizes |= {len(batches) for batches in found}
    assert len(sizes) == 1


@pytest.mark.parametrize("make", [title_lengths, review_lengths])
def test_no_batch_is_larger_than_the_budget_and_little_of_it_is_padding(make):
    lengths, tokens = make(3000), 1440
    (batches,) = batches_of(lengths, tokens=tokens)
    padded = [lengths[batch].max() * len(batch) for batch in batches]
    assert max(padded) <= tokens
    assert sum(padded) / lengths.sum() < 1.07
    assert np.mean(padded) > 0.9 * tokens  # hardly any batch is small
    assert padded[0] == max(padded)


def test_processes_get_nearly_equal_tokens_at_every_step():
    lengths = review_lengths(5000)
    first, second = (
        [lengths[batch].max() * len(batch) for batch in batches]
        for batches in batches_of(lengths, tokens=1440, processes=2)
    )
    unequal = np.abs(np.array(first) - np.array(second)) / 1440
    assert np.median(unequal) < 0.1


def test_batches_are_a_function_of_seed_and_epoch_and_mix_the_rows():
    lengths = review_lengths(2000)
    found = [batches_of(lengths, tokens=1440, epoch=epoch) for epoch in (0, 1, 0)]
    assert found[0] == found[2]
    assert batches_of(lengths, tokens=1440, seed=5) != found[0]
    pairs = [{(a, b) for batch in batches for a in batch for b in batch if a < b} for (batches,) in found[:2]]
    assert len(pairs[0] & pairs[1]) < 0.35 * len(pairs[0])


def test_a_row_longer_than_the_budget_makes_a_batch_of_its_own():
    (batches,) = batches_of(np.array([50, 3, 3, 3, 3]), tokens=6)
    assert sorted(map(len, batches)) == [1, 2, 2]
    assert [0] in batches


def test_empty_rows_count_as_one_token():
    (batches,) = batches_of(np.array([0, 0, 0, 2]), tokens=2)
    assert sorted(row for batch in batches for row in batch) == [0, 1, 2, 3]


def test_bands_hold_whole_batches_of_similar_rows():
    lengths = np.sort(review_lengths(3000))[::-1]
    bands = cut_bands(lengths, 1440)
    assert [band.begin for band in bands] == [0, *(band.end for band in bands[:-1])]
    assert bands[-1].end == 3000
    for begin, end, rows in bands:
        assert lengths[begin] * rows <= 1440
        assert end == 3000 or (end - begin) % rows == 0
        assert lengths[max(end - rows, begin)] >= 0.9 * lengths[begin]


def test_the_largest_batches_are_halved_and_single_rows_repeated():
    parts = even_out([np.arange(5), np.arange(5, 7)], 4)
    assert sorted(map(len, parts)) == [1, 2, 2, 2]
    assert sorted(np.concatenate(parts)) == list(range(7))
    repeated = even_out([np.array([0]), np.array([1]), np.array([2])], 5)
    assert [batch.tolist() for batch in repeated] == [[0], [1], [2], [0], [1]]


@pytest.mark.parametrize("rows", [1, 8, 32])
@pytest.mark.parametrize("make", [title_lengths, review_lengths])
def test_a_budget_that_is_chosen_keeps_the_number_of_batches(make, rows):
    lengths = make(3000)
    tokens = choose_budget(lengths, rows)
    (batches,) = batches_of(lengths, tokens=tokens)
    assert len(batches) <= -(-3000 // rows)
    (more,) = batches_of(lengths, tokens=tokens - 1)
    assert len(more) > 3000 / rows or tokens == np.ceil(rows * lengths.mean())
    assert rows == 1 or len(batches) > 0.95 * 3000 / rows


def test_rows_of_one_length_get_the_tokens_of_the_batch_size():
    assert choose_budget(np.full(100, 7), 8) == 56


def test_no_rows_give_no_batches():
    assert batches_of(np.array([], dtype=np.int64), tokens=10) == [[]]


def test_the_share_of_real_tokens_is_a_lower_bound():
    lengths = review_lengths(1000)
    sampler = TokenBudgetBatches(lengths, tokens=1440, seed=0)
    padded = sum(lengths[batch].max() * len(batch) for batch in sampler)
    assert 0.85 < sampler.real_share <= lengths.sum() / padded
