from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ext.data.pretraining.mixing import mix_rows

SOURCES = st.lists(st.tuples(st.integers(1, 50), st.floats(0.1, 10)), min_size=1, max_size=4)


@given(sources=SOURCES, seed=st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_every_row_comes_and_none_twice_more_than_another_of_its_source(sources, seed):
    sizes, weights = [size for size, _ in sources], [weight for _, weight in sources]
    counts = Counter(mix_rows(sizes, weights, seed).tolist())
    first = 0
    for size in sizes:
        times = [counts[row] for row in range(first, first + size)]
        assert min(times) >= 1
        assert max(times) - min(times) <= 1
        first += size
    assert set(counts) == set(range(sum(sizes)))


def test_rows_come_in_the_proportions_of_the_weights_everywhere():
    order = mix_rows([1000, 300], [1, 3], seed=0)
    assert len(order) == 4000  # 1000 / 0.25: the first source just once
    assert np.bincount(order)[:1000].tolist() == [1] * 1000
    assert abs((order[:500] < 1000).mean() - 0.25) < 0.05


def test_a_slip_in_a_weight_does_not_fill_the_disk():
    with pytest.raises(ValueError, match="would come 2,000 times"):
        mix_rows([10, 5], [1, 1000], seed=0)


def test_one_source_is_a_permutation_that_only_the_seed_decides():
    order = mix_rows([100], [5.0], seed=1)
    assert sorted(order.tolist()) == list(range(100))
    assert order.tolist() == mix_rows([100], [1.0], seed=1).tolist()
    assert order.tolist() != mix_rows([100], [1.0], seed=2).tolist()
    assert order[:5].tolist() == [83, 9, 84, 40, 94]  # the same on every machine and with every numpy
