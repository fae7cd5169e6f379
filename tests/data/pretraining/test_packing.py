from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ext.data.pretraining.packing import PACKINGS, RowPlan, pack_best_fit, pack_concat, pack_none

LENGTHS = st.lists(st.integers(0, 60), max_size=80)
ROOMS = st.tuples(st.integers(1, 20), st.integers(0, 3))  # room beside the special tokens, special tokens


def log_normal_lengths(number: int) -> np.ndarray:
    """Documents as a corpus of web pages has them: median 180 tokens, a tail of thousands."""
    drawn = np.exp(np.random.default_rng(0).normal(np.log(180), 1.0, number))
    return np.clip(drawn, 10, 4000).astype(np.int64)


def row_sizes(plan: RowPlan, overhead: int) -> np.ndarray:
    sizes = plan.stop - plan.start + overhead
    return np.array([sizes[begin:end].sum() for begin, end in zip(plan.begins, plan.ends, strict=True)])


@pytest.mark.parametrize("name", PACKINGS)
@given(lengths=LENGTHS, rooms=ROOMS)
@settings(max_examples=60, deadline=None)
def test_every_token_stands_in_exactly_one_row_and_no_row_is_too_long(name, lengths, rooms):
    room, overhead = rooms
    plan = PACKINGS[name](np.array(lengths, dtype=np.int64), room + overhead, overhead)
    seen = Counter(
        (document, token)
        for document, start, stop in zip(plan.document, plan.start, plan.stop, strict=True)
        for token in range(start, stop)
    )
    assert seen == Counter((document, token) for document, length in enumerate(lengths) for token in range(length))
    assert (plan.stop > plan.start).all()
    assert (row_sizes(plan, overhead) <= room + overhead).all()
    assert not len(plan) or plan.ends[-1] == len(plan.document)
    assert (np.diff(plan.ends) > 0).all()


def best_fit_by_hand(sizes: list[int], room: int, overhead: int) -> list[int]:
    """Best fit decreasing, looking at every row: the room left in each."""
    left: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [i for i, free in enumerate(left) if free >= size]
        if fitting:
            left[min(fitting, key=lambda i: left[i])] -= size
        else:
            left.append(room - size)
    return sorted(left)


@given(lengths=st.lists(st.integers(1, 17), max_size=60), overhead=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_best_fit_is_best_fit_decreasing(lengths, overhead):
    room = 17 + overhead
    plan = pack_best_fit(np.array(lengths, dtype=np.int64), room, overhead)
    expected = best_fit_by_hand([length + overhead for length in lengths], room, overhead)
    assert sorted(room - size for size in row_sizes(plan, overhead).tolist()) == expected


def test_best_fit_cuts_only_documents_longer_than_a_row():
    lengths = log_normal_lengths(3000)
    plan = pack_best_fit(lengths, 512, 2)
    parts = np.bincount(plan.document, minlength=len(lengths))
    assert (parts == -(-lengths // 510)).all()


def test_rows_of_log_normal_documents_are_full_and_made_quickly():
    lengths = log_normal_lengths(20_000)
    filled = {}
    for name, pack in PACKINGS.items():
        begun = time.process_time()
        plan = pack(lengths, 512, 2)
        assert time.process_time() - begun < 5
        filled[name] = (lengths.sum() + 2 * len(plan.document)) / (512 * len(plan))
    assert filled["best_fit"] >= 0.99
    assert filled["concat"] >= 0.99
    assert filled["none"] < 0.6  # what packing saves


def test_concat_keeps_the_order_of_the_text_and_only_the_last_row_is_short():
    lengths = log_normal_lengths(500)
    plan = pack_concat(lengths, 128, 2)
    assert (np.diff(plan.document) >= 0).all()
    stream = np.cumsum(lengths)[plan.document] - lengths[plan.document] + plan.start
    assert (np.diff(stream) > 0).all()
    assert (row_sizes(plan, 2)[:-1] >= 128 - 2).all()


def test_without_packing_each_row_has_one_document():
    plan = pack_none(np.array([5, 0, 12]), 7, 2)
    assert plan.ends.tolist() == [1, 2, 3, 4]
    assert plan.document.tolist() == [0, 2, 2, 2]
    assert (plan.stop - plan.start).tolist() == [5, 5, 5, 2]


def test_within_a_row_documents_keep_their_order():
    plan = pack_best_fit(np.array([3, 4, 2, 1]), 100, 2)
    assert plan.document.tolist() == [0, 1, 2, 3]
    assert plan.ends.tolist() == [4]
