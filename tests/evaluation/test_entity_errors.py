"""Mistakes: each entity in exactly one of them, and the kinds as they are defined."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ext.evaluation.entity_errors import MISSED, SPURIOUS, WRONG_BOUNDARY, WRONG_TYPE, find_errors
from hf_ext.models.tag_schemes import Entity, convert_tags, entities

tag_lists = st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), min_size=10, max_size=10)


def read(text):
    """Read ``X 0 2; Y 3 4``."""
    parts = [part.split() for part in text.split(";") if part.strip()]
    return [Entity(type_, int(start), int(end)) for type_, start, end in parts]


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ("X 0 2", "X 0 2", []),
        ("X 0 2", "", [MISSED]),
        ("", "X 0 2", [SPURIOUS]),
        ("X 0 2", "Y 0 2", [WRONG_TYPE]),
        ("X 0 2", "X 0 3", [WRONG_BOUNDARY]),
        ("X 0 2", "X 2 4", [MISSED, SPURIOUS]),  # no word in common
        ("X 0 2", "Y 0 3", [MISSED, SPURIOUS]),  # type and boundary
        ("X 0 5", "X 0 1; X 2 5", [SPURIOUS, WRONG_BOUNDARY]),  # the one that shares more words is the partner
        ("X 0 2; X 2 4", "X 0 4", [WRONG_BOUNDARY, MISSED]),
        ("X 0 2; Y 2 4", "Y 0 2; Y 3 4", [WRONG_TYPE, WRONG_BOUNDARY]),
        ("X 0 2; X 3 5", "X 0 2; X 3 4", [WRONG_BOUNDARY]),
    ],
)
def test_kinds_of_mistakes(gold, predicted, kinds):
    found = find_errors(read(gold), read(predicted))
    assert sorted(error.kind for error in found) == sorted(kinds)
    for error in found:
        assert (error.gold is None, error.predicted is None) == (error.kind == SPURIOUS, error.kind == MISSED)


def test_mistakes_stand_in_the_order_of_the_sentence():
    found = find_errors(read("X 0 1; Y 4 6; X 8 9"), read("X 2 3; Y 4 5"))
    assert [error.kind for error in found] == [MISSED, SPURIOUS, WRONG_BOUNDARY, MISSED]


@given(tag_lists, tag_lists)
@settings(max_examples=300, deadline=None)
def test_every_wrong_entity_is_in_one_mistake_and_no_right_one_is(gold_tags, predicted_tags):
    gold = entities(convert_tags(gold_tags, "BIO", "BIO"), "BIO")
    predicted = entities(predicted_tags, "BIO")
    found = find_errors(gold, predicted)
    right = set(gold) & set(predicted)
    assert Counter(error.gold for error in found if error.gold) == Counter(set(gold) - right)
    assert Counter(error.predicted for error in found if error.predicted) == Counter(set(predicted) - right)
    for kind, a, b in found:
        if kind == WRONG_TYPE:
            assert (a.start, a.end) == (b.start, b.end)
            assert a.type != b.type
        elif kind == WRONG_BOUNDARY:
            assert a.type == b.type
            assert set(range(a.start, a.end)) & set(range(b.start, b.end))
    lonely = [error for error in found if error.gold is None or error.predicted is None]
    for a in lonely:
        for b in lonely:
            if a.gold and b.predicted:  # nothing is left that could have been paired
                assert a.gold[1:] != b.predicted[1:]
                shared = min(a.gold.end, b.predicted.end) > max(a.gold.start, b.predicted.start)
                assert a.gold.type != b.predicted.type or not shared
