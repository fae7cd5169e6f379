"""Entity counts: equal to the slow reading and to seqeval, and defined where seqeval gives NaN."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.v1 import classification_report
from seqeval.scheme import BILOU, IOB2, IOBES

from hf_ext.evaluation.entities import EntityCounts, SpanReader
from hf_ext.models.tag_schemes import SCHEMES, convert_tags, entities

LETTERS = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
SEQEVAL = {"BIO": IOB2, "BIOES": IOBES, "BILOU": BILOU}


def names_of(scheme, types=("LOC", "ORG", "PER")):
    if scheme == "IO":
        return ["O", *types]
    return ["O"] + [f"{letter}-{type_}" for letter in LETTERS[scheme] for type_ in types]


def random_sentences(scheme, rng, number=20, length=10):
    return [[rng.choice(names_of(scheme)) for _ in range(rng.randint(0, length))] for _ in range(number)]


def damaged(sentences, scheme, rng, rate):
    return [[rng.choice(names_of(scheme)) if rng.random() < rate else tag for tag in tags] for tags in sentences]


def flat(sentences, names):
    """Give the ids of all words and the number of the sentence of each."""
    ids = [names.index(tag) for tags in sentences for tag in tags]
    numbers = [i for i, tags in enumerate(sentences) for _ in tags]
    return np.array(ids, dtype=np.int64), np.array(numbers, dtype=np.int64)


def count(scheme, gold, predicted):
    counts = EntityCounts(scheme)
    for a, b in zip(gold, predicted, strict=True):
        counts.add(a, b)
    return counts


# --- reading many sentences at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_spans_are_the_entities_of_each_sentence(scheme, data):
    names = names_of(scheme, ("X", "Y"))
    sentences = data.draw(st.lists(st.lists(st.sampled_from(names), max_size=8), max_size=5))
    ids, numbers = flat(sentences, names)
    reader = SpanReader(names, scheme)
    found = [(reader.types[t], a, b) for t, a, b in zip(*reader.read(ids, numbers), strict=True)]
    expected, begin = [], 0
    for tags in sentences:
        expected += [(type_, begin + start, begin + end) for type_, start, end in entities(tags, scheme)]
        begin += len(tags)
    assert found == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_counting_by_ids_equals_counting_sentence_by_sentence(scheme):
    rng = random.Random(scheme)
    names = names_of(scheme)
    rng.shuffle(names)  # O need not be the first
    at_once = EntityCounts(scheme, names)
    one_by_one = EntityCounts(scheme)
    for _ in range(30):
        gold = [convert_tags(tags, scheme, scheme) for tags in random_sentences(scheme, rng)]
        predicted = damaged(gold, scheme, rng, 0.2)
        true, numbers = flat(gold, names)
        at_once.add_ids(true, flat(predicted, names)[0], numbers)
        for a, b in zip(gold, predicted, strict=True):
            one_by_one.add(a, b)
        assert at_once.scores(entity_level=True) == one_by_one.scores(entity_level=True)
    assert (at_once.correct, at_once.predicted, at_once.gold) == (
        one_by_one.correct,
        one_by_one.predicted,
        one_by_one.gold,
    )
    assert at_once.correct.total() > 100


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SEQEVAL)
def test_figures_are_those_of_seqeval_in_strict_mode(scheme):
    rng = random.Random(scheme)
    for rate in (0.0, 0.1, 0.4, 1.0):
        for _ in range(10):
            gold = [convert_tags(tags, scheme, scheme) for tags in random_sentences(scheme, rng)]
            predicted = damaged(gold, scheme, rng, rate)
            scores = count(scheme, gold, predicted).scores(entity_level=True)
            report = classification_report(gold, predicted, scheme=SEQEVAL[scheme], output_dict=True, zero_division=0)
            for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
                assert scores[name] == pytest.approx(report["micro avg"][key])
            assert scores["f1_macro"] == pytest.approx(report["macro avg"]["f1-score"])
            assert scores["f1_weighted"] == pytest.approx(report["weighted avg"]["f1-score"])
            for type_ in ("LOC", "ORG", "PER"):
                row = report[type_]
                found = [scores[f"{type_}_{name}"] for name in ("precision", "recall", "f1", "number")]
                assert found == pytest.approx([row[k] for k in ("precision", "recall", "f1-score", "support")])


def test_figures_by_hand():
    counts = count("BIO", [["B-A", "I-A", "O", "B-B"]], [["B-A", "I-A", "B-B", "I-B"]])
    assert counts.scores() == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "accuracy": 0.5,
        "f1_macro": 0.5,
        "f1_weighted": 0.5,
    }
    assert (counts.correct, counts.predicted, counts.gold) == ({"A": 1}, {"A": 1, "B": 1}, {"A": 1, "B": 1})
    assert counts.scores_of(["A"]) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert counts.scores_of(["B", "unknown"]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


@pytest.mark.parametrize(
    ("gold", "predicted", "accuracy"),
    [
        (["O", "O"], ["O", "O"], 1.0),
        (["O"], ["B-A"], 0.0),
        (["B-A"], ["O"], 0.0),
        (["O", "O"], ["I-A", "O"], 0.5),  # an I that continues nothing is no entity
        ([], [], 0.0),
    ],
)
def test_figures_without_any_hit_are_zero_and_never_nan(gold, predicted, accuracy):
    scores = count("BIO", [gold], [predicted]).scores(entity_level=True)
    figures = {name: value for name, value in scores.items() if not name.endswith(("accuracy", "number"))}
    assert set(figures.values()) == {0.0}
    assert scores["accuracy"] == accuracy


def test_bmes_and_underscores_are_scored_where_seqeval_fails():
    with pytest.raises(KeyError):
        classification_report([["B-A", "M-A", "E-A"]], [["B-A", "M-A", "E-A"]], scheme=IOBES)
    scores = count("BMES", [["B-A", "M-A", "E-A"]], [["B-A", "M-A", "E-A"]]).scores(entity_level=True)
    assert (scores["f1"], scores["A_f1"]) == (1.0, 1.0)
    assert list(count("BIO", [["B_A-b"]], [["B_A-b"]]).scores(entity_level=True))[-4:] == [
        *("A-b_precision", "A-b_recall", "A-b_f1", "A-b_number"),
    ]


def test_figures_are_plain_floats_that_json_takes():
    names = names_of("BIO")
    counts = EntityCounts("BIO", names)
    counts.add_ids(*(flat([["B-PER", "O"], ["B-LOC"]], names)[0],) * 2, np.array([0, 0, 1]))
    scores = counts.scores(entity_level=True)
    assert {type(value) for value in scores.values()} == {float}
    assert json.loads(json.dumps(scores)) == scores
    assert not any(math.isnan(value) for value in scores.values())


def test_the_empty_type_of_word_segmentation_has_a_name():
    scores = count("BMES", [["B", "E", "S"]], [["B", "E", "S"]]).scores(entity_level=True)
    assert (scores["f1"], scores["__f1"], scores["__number"]) == (1.0, 1.0, 2.0)


def test_wrong_calls_are_named():
    counts = EntityCounts("BIO", ["O", "B-A"])
    with pytest.raises(ValueError, match="1 predicted tags for 2 true ones"):
        counts.add(["O", "O"], ["O"])
    one, two = np.zeros(1, dtype=int), np.zeros(2, dtype=int)
    with pytest.raises(ValueError, match=r"must be equal, got \(1,\), \(2,\) and \(1,\)"):
        counts.add_ids(one, two, one)
    with pytest.raises(ValueError, match="predicted tag id 2 is none of the 2 tags"):
        counts.add_ids(two, two + np.array([0, 2]), two)
    with pytest.raises(ValueError, match="true tag id -100 is none"):
        counts.add_ids(one - 100, one, one)
    with pytest.raises(ValueError, match="'IOE' is not known"):
        EntityCounts("IOE")
