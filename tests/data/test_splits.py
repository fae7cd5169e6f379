from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_ext.data.splits import SIDES, SplitRows, find_duplicates, read_split_indices, split_rows
from hf_ext.errors import UserError

LABELS = st.lists(st.sampled_from("aabbc"), min_size=12, max_size=80)


@given(
    labels=LABELS,
    seed=st.integers(0, 5),
    validation=st.sampled_from([0.1, 0.2, 0.33]),
    test=st.sampled_from([0.1, 0.25]),
)
def test_every_row_is_on_exactly_one_side(labels, seed, validation, test):
    try:
        sides = split_rows(labels, validation=validation, test=test, seed=seed)
    except UserError:
        return  # too few rows of each label to fill every side
    assert sorted(sides.train + sides.validation + sides.test) == list(range(len(labels)))
    assert all(getattr(sides, side) == sorted(getattr(sides, side)) for side in SIDES)


@given(labels=LABELS, seed=st.integers(0, 5))
def test_every_label_is_kept_for_training(labels, seed):
    try:
        sides = split_rows(labels, validation=0.4, test=0.4, seed=seed)
    except UserError:
        return
    assert {labels[i] for i in sides.train} == set(labels)


def test_shares_of_labels_are_the_same_on_every_side():
    labels = ["a"] * 700 + ["b"] * 200 + ["c"] * 100
    sides = split_rows(labels, validation=0.1, test=0.2)
    assert Counter(labels[i] for i in sides.validation) == {"a": 70, "b": 20, "c": 10}
    assert Counter(labels[i] for i in sides.test) == {"a": 140, "b": 40, "c": 20}
    assert Counter(labels[i] for i in sides.train) == {"a": 490, "b": 140, "c": 70}


def test_sizes_are_the_fractions_even_when_labels_do_not_divide():
    sides = split_rows(["a"] * 33 + ["b"] * 34 + ["c"] * 33, validation=0.1, test=0.1)
    assert [len(sides.train), len(sides.validation), len(sides.test)] == [80, 10, 10]


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    labels = ["a", "b"] * 50
    assert split_rows(labels, validation=0.2, seed=1) == split_rows(labels, validation=0.2, seed=1)
    assert split_rows(labels, validation=0.2, seed=1) != split_rows(labels, validation=0.2, seed=2)


def test_the_split_does_not_change_between_versions():
    order = [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]  # of random.Random(42); test rows come first, then validation
    assert (order[:1], sorted(order[1:3])) == ([7], [2, 3])
    assert split_rows(10, validation=0.2, test=0.1, seed=42) == SplitRows([0, 1, 4, 5, 6, 8, 9], [2, 3], [7])


def test_plain_split_needs_no_labels():
    sides = split_rows(50, validation=0.1, test=0.2)
    assert [len(sides.train), len(sides.validation), len(sides.test)] == [35, 5, 10]


def test_labels_too_rare_to_split_go_to_training_with_a_note():
    sides = split_rows(["a"] * 20 + ["rare"], validation=0.5)
    assert 20 in sides.train
    assert sides.notes == ["1 rows of labels too rare to split ('rare') all went to training"]


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.9, 0.2)])
def test_fractions_must_leave_rows_to_train_on(fractions):
    with pytest.raises(UserError, match="leave no rows to train on"):
        split_rows(100, validation=fractions[0], test=fractions[1])


@pytest.mark.parametrize("strata", [3, ["a", "b", "c"], ["a", "a", "a"]])
def test_side_that_would_stay_empty_is_an_error(strata):
    with pytest.raises(UserError, match=r"no row is left for validation when 3 rows are split"):
        split_rows(strata, validation=0.1)


@given(groups=st.lists(st.sampled_from("abcdefghijkl"), min_size=30, max_size=60), seed=st.integers(0, 3))
def test_groups_stay_together(groups, seed):
    try:
        sides = split_rows(len(groups), validation=0.3, test=0.2, seed=seed, groups=groups)
    except UserError:
        return
    kinds = [{groups[i] for i in getattr(sides, side)} for side in SIDES]
    assert sum(map(len, kinds)) == len(set(groups))
    assert sorted(sides.train + sides.validation + sides.test) == list(range(len(groups)))


def test_many_small_groups_reach_the_fractions():
    sides = split_rows(1000, validation=0.1, test=0.2, groups=[str(i // 2) for i in range(1000)])
    assert [len(sides.train), len(sides.validation), len(sides.test)] == [700, 100, 200]


def test_positions_are_translated_to_rows_of_the_file():
    sides = SplitRows([0, 2], [1], []).select([10, 30, 20])
    assert (sides.train, sides.validation, sides.test) == ([10, 20], [30], [])


def test_repeats_keep_their_first_row_and_contradictions_are_counted():
    kept, notes = find_duplicates(["x", "y", "x", "x", "y"], ["1", "1", "2", "1", "1"])
    assert kept == [0, 1]
    assert notes == ["3 rows with a repeated text left out, 1 of them with another label than the first"]
    assert find_duplicates(["x", "y"], ["1", "1"]) == ([0, 1], [])


# Saved indices


def test_saved_indices_come_back(tmp_path):
    sides = split_rows(20, validation=0.2, test=0.1)
    path = tmp_path / "split_indices.json"
    path.write_text(json.dumps(sides.to_json("train.csv", 20)))
    assert read_split_indices(path, rows=20, source="train.csv") == SplitRows(sides.train, sides.validation, sides.test)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not a split_indices.json"),
        ("[1]", "not a split_indices.json"),
        ('{"train": [0]}', "not a split_indices.json"),
        ('{"rows": 5, "train": ["x"]}', "not a split_indices.json"),
        ('{"rows": 4, "source": "old.csv", "train": [0]}', "made for 4 rows of old.csv, but new.csv has 5"),
        ('{"rows": 5, "train": [0, 1], "validation": [1]}', "occurs twice"),
        ('{"rows": 5, "train": [0, 5]}', "out of range"),
        ('{"rows": 5, "train": [-1]}', "out of range"),
    ],
)
def test_indices_that_do_not_fit_are_refused(tmp_path, content, words):
    path = tmp_path / "split_indices.json"
    path.write_text(content)
    with pytest.raises(UserError, match=words) as error:
        read_split_indices(path, rows=5, source="new.csv")
    assert str(error.value).startswith(str(path))


def test_missing_indices_are_named(tmp_path):
    with pytest.raises(UserError, match="no such file – check --split_indices"):
        read_split_indices(tmp_path / "absent.json", rows=1, source="a.csv")
