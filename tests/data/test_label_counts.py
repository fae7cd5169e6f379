from __future__ import annotations

import pytest

from hf_ext.data.checks.label_counts import find_absent, find_alike, find_imbalance, find_shift


def only(found):
    (finding,) = found
    return finding


def test_a_majority_says_what_accuracy_it_gives():
    found = only(find_imbalance({"yes": 93, "no": 13}, "a.csv", fix="weigh them"))
    assert found == (
        "a.csv: 93 of 106 labels are 'yes'; a model that always says so is right that often"
        " – look at f1_macro; weigh them"
    )


def test_rare_labels_are_counted_and_the_rarest_named_first():
    found = only(find_imbalance({"a": 50, "b": 40, "c": 9, "d": 1}, "a.csv"))
    assert found.startswith("a.csv: 2 of 4 labels have fewer than 10 training rows: 'd' (1), 'c' (9)")


def test_a_wide_ratio_is_told():
    assert "'b'; 'a' is 12 times as frequent" in only(find_imbalance({"a": 240, "b": 20, "c": 200}, "a.csv"))
    assert find_imbalance({"a": 30, "b": 20}, "a.csv") == []
    assert find_imbalance({}, "a.csv") == find_imbalance({"a": 3}, "a.csv") == []


def test_labels_that_another_split_lacks_are_counted():
    train = {"a": 5, "b": 5, "c": 5}
    assert only(find_absent(train, {"b": 1}, "t.csv")) == (
        "t.csv: 2 of 3 labels of the training rows do not occur here: 'a', 'c'"
    )
    assert find_absent(train, {"a": 1, "b": 1, "c": 1}, "t.csv") == []
    assert find_absent(train, {}, "t.csv") == [], "a split without labels lacks none"


def test_a_shift_is_the_total_variation_distance_in_rows():
    found = only(find_shift({"a": 50, "b": 50}, {"a": 800, "b": 200}, "t.csv"))
    assert (found.number, found.total) == (300, 1000)
    assert find_shift({"a": 50, "b": 50}, {"a": 520, "b": 480}, "t.csv") == []
    assert find_shift({"a": 50, "b": 50}, {"a": 8, "b": 2}, "t.csv") == [], "ten rows prove nothing"


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (["Good", "good"], True),
        (["card_arrival", "card arrival"], True),
        (["ＰＥＲ", "per"], True),
        (["1", "-1"], False),
        (["1", "1.0"], False),
        (["好", "坏"], False),
        (["C++", "C"], False),
        (["a", "b"], False),
    ],
)
def test_two_spellings_of_a_label_are_found(names, alike):
    assert bool(find_alike(names, "a.csv")) == alike
