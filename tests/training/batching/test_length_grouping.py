"""Grouped rows: all of them, alike in a batch, by chance otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from hf_ext.training.batching.grouping import LengthGroupedRows
from hf_ext.training.batching.row_order import ShuffledRows
from hf_ext.training.losses.sampling import BalancedSampler


def title_lengths(rows, seed=0):
    """Draw lengths as those of titles: normal, 22 +- 6, clipped to 8..42."""
    return np.clip(np.random.default_rng(seed).normal(22, 6, rows), 8, 42).astype(np.int64)


def grouped(lengths, *, batch_size, seed=3, epoch=0):
    sampler = LengthGroupedRows(ShuffledRows(len(lengths), seed=seed), lengths, batch_size=batch_size)
    sampler.set_epoch(epoch)
    return np.array(list(sampler), dtype=np.int64)


def padding(lengths, order, batch_size):
    """Give padded over real tokens of batches cut from an order."""
    batches = [lengths[order[i : i + batch_size]] for i in range(0, len(order), batch_size)]
    return sum(batch.max() * len(batch) for batch in batches) / lengths.sum()


@pytest.mark.parametrize("rows", [0, 1, 5, 16, 17, 63, 1000])
def test_every_row_comes_once_an_epoch(rows):
    lengths = title_lengths(rows)
    for epoch in range(3):
        assert sorted(grouped(lengths, batch_size=8, epoch=epoch)) == list(range(rows))


def test_the_order_is_a_function_of_seed_and_epoch():
    lengths = title_lengths(300)
    orders = [tuple(grouped(lengths, batch_size=8, seed=seed, epoch=epoch)) for seed in (1, 2) for epoch in (0, 1)]
    again = [tuple(grouped(lengths, batch_size=8, seed=seed, epoch=epoch)) for seed in (1, 2) for epoch in (0, 1)]
    assert orders == again
    assert len(set(orders)) == 4


def test_batches_are_hardly_padded():
    lengths = title_lengths(10_000)
    by_chance = padding(lengths, np.random.default_rng(1).permutation(len(lengths)), 16)
    assert by_chance > 1.4
    assert padding(lengths, grouped(lengths, batch_size=16), 16) < 1.05


def test_long_and_short_batches_come_in_any_order():
    lengths = title_lengths(10_000)
    means = lengths[grouped(lengths, batch_size=16)][: 625 * 16].reshape(-1, 16).mean(1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.15  # sorted inside of its groups it would be near 1


def test_rows_meet_others_in_each_epoch():
    lengths = title_lengths(2_000)
    pairs = []
    for epoch in range(2):
        batches = grouped(lengths, batch_size=16, epoch=epoch).reshape(-1, 16)
        pairs.append({(a, b) for batch in batches for a in batch for b in batch if a < b})
    assert len(pairs[0] & pairs[1]) < 0.15 * len(pairs[0])


def test_the_longest_batch_comes_first_and_the_one_that_is_not_full_last():
    lengths = title_lengths(1003)
    order = grouped(lengths, batch_size=10)
    assert lengths[order[:10]].max() == lengths.max()
    assert len(order[1000:]) == 3


def test_drawn_rows_keep_their_number_of_draws():
    weights = np.ones(200)
    weights[:10] = 30
    lengths = title_lengths(200)
    drawn = BalancedSampler(weights, seed=5)
    drawn.set_epoch(2)
    sampler = LengthGroupedRows(BalancedSampler(weights, seed=5), lengths, batch_size=8)
    sampler.set_epoch(2)
    assert sorted(sampler) == sorted(drawn)
    assert len(sampler) == 200
