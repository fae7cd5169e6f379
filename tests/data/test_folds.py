"""Folds are a partition: stratified, without a group in two of them, the same from the same seed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from hf_ext.data.folds import cut_folds, group_rows, quantile_bins
from hf_ext.errors import UserError


def single_labels(count: int, labels: str, *, seed: int = 0) -> list[list[str]]:
    generator = random.Random(seed)
    return [[generator.choice(labels)] for _ in range(count)]


@pytest.mark.parametrize("num_folds", [2, 3, 5, 10])
def test_folds_are_a_partition_whose_label_counts_differ_by_one_at_most(num_folds):
    names = single_labels(203, "aaaabbc")
    folds = cut_folds(names, num_folds, seed=1)
    sides = [folds.sides(k, "validation") for k in range(1, num_folds + 1)]
    assert sorted(row for side in sides for row in side.validation) == list(range(203))
    for side in sides:
        assert sorted(side.train + side.validation) == list(range(203))
    for label in "abc":
        counts = [sum(names[row] == [label] for row in side.validation) for side in sides]
        assert max(counts) - min(counts) <= 1
    sizes = [len(side.validation) for side in sides]
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_decides_the_folds():
    names = single_labels(60, "ab")
    assert cut_folds(names, 3, seed=4) == cut_folds(names, 3, seed=4)
    assert cut_folds(names, 3, seed=4) != cut_folds(names, 3, seed=5)


def test_no_group_is_cut_and_labels_stay_balanced():
    names = single_labels(400, "aab")
    groups = [row // 4 if row % 7 else f"single {row}" for row in range(400)]
    folds = cut_folds(names, 4, seed=0, groups=groups).fold_of
    for group in set(groups):
        assert len({fold for fold, own in zip(folds, groups, strict=True) if own == group}) == 1
    for label in "ab":
        counts = Counter(fold for fold, name in zip(folds, names, strict=True) if name == [label])
        assert max(counts.values()) - min(counts.values()) <= 4  # rows of a group


def test_rows_of_several_labels_are_spread_by_the_rarest():
    generator = random.Random(3)
    names = [["common", *(["rare"] if row % 20 == 0 else [])] for row in range(200)]
    names += [[] for _ in range(20)]
    generator.shuffle(names)
    folds = cut_folds(names, 5, seed=0).fold_of
    for wanted in (["common", "rare"], []):
        counts = Counter(fold for fold, own in zip(folds, names, strict=True) if own == wanted)
        assert set(counts.values()) == {len([own for own in names if own == wanted]) // 5}


def test_every_name_is_in_what_each_fold_trains_on():
    generator = random.Random(5)
    for seed in range(20):
        names = [generator.sample("abcdefgh", generator.randint(0, 3)) for _ in range(24)]
        groups = [generator.randrange(15) for _ in range(24)]
        try:
            folds = cut_folds(names, 3, seed=seed, groups=groups)
        except UserError:
            continue
        known = {name for own in names for name in own}
        for k in (1, 2, 3):
            assert {name for row in folds.sides(k, "test").train for name in names[row]} == known


def test_a_label_of_one_row_is_always_trained_on():
    folds = cut_folds([["a"], ["b"], ["a"], ["a"], ["c"], ["c"]], 2, seed=0)
    assert folds.fold_of[1] is None
    assert 1 in folds.sides(1, "test").train
    assert 1 in folds.sides(2, "test").train
    assert folds.notes == ["1 rows of labels too rare for two folds ('b') are in none, and always trained on"]


def test_too_many_folds_are_one_line():
    with pytest.raises(UserError, match="no row is left for fold 4 of 4: 6 rows in 3 groups are cut"):
        cut_folds([["a"]] * 6, 4, seed=0, groups=[0, 0, 1, 1, 2, 2])


def test_rows_that_share_any_key_are_one_group():
    texts = ["x", "y", "x", None, "z", None, "y"]
    shops = ["1", "2", "3", "3", "4", "5", "4"]
    groups = group_rows(texts, shops)
    assert groups[0] == groups[2] == groups[3]  # x, shop 3
    assert groups[1] == groups[6] == groups[4]  # y, shop 4
    assert len(set(groups)) == 3


def test_numbers_are_spread_over_their_range():
    numbers = [random.Random(0).gauss(0, 1) + row / 100 for row in range(100)]
    folds = cut_folds(quantile_bins(numbers, 5), 5, seed=0).fold_of
    median = sorted(numbers)[50]
    counts = Counter(fold for fold, number in zip(folds, numbers, strict=True) if number < median)
    assert set(counts.values()) == {10}
    assert quantile_bins([3.0, 1.0, 2.0], 2) == [["0"], ["0"], ["0"]]
