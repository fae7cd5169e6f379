from __future__ import annotations

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.trainer_pt_utils import nested_concat

from hf_ext.data.tagging.merging import merge_windows
from hf_ext.data.tagging.windows import plan_windows


def make_windows(lengths: list[int], capacity: int, overlap: int, size: int = 1) -> datasets.Dataset:
    """Windows of sentences whose words have ``size`` tokens each, behind one special token and before another."""
    rows = []
    for sentence, length in enumerate(lengths):
        for window in plan_windows([size] * length, capacity, overlap):
            starts = [1 + size * i for i in range(window.end - window.first)]
            tokens = 2 + size * len(starts)
            places = {"first_word": window.first, "owned_first": window.owned_first, "owned_end": window.owned_end}
            rows.append({"sentence": sentence, "word_starts": starts, "attention_mask": [1] * tokens, **places})
    columns = ("sentence", "word_starts", "attention_mask", "first_word", "owned_first", "owned_end")
    return datasets.Dataset.from_dict({name: [row[name] for row in rows] for name in columns})


def tag_of(sentence: int, word: int) -> int:
    return (7 * sentence + word) % 5


def probability_of(sentence: int, word: int) -> float:
    return round(0.01 * (1 + sentence) + 0.001 * word, 6)


def predict(features, batch_size: int, *, left: bool, everywhere: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """What a perfect model says, batch by batch: -100 off the words, or nonsense there; nonsense at words not owned."""
    batches = []
    for begin in range(0, len(features), batch_size):
        rows = [features[i] for i in range(begin, min(begin + batch_size, len(features)))]
        width = max(len(row["attention_mask"]) for row in rows)
        tags = np.full((len(rows), width), 99 if everywhere else -100, dtype=np.int64)
        chances = np.zeros((len(rows), width), dtype=np.float32)
        for i, row in enumerate(rows):
            offset = width - len(row["attention_mask"]) if left else 0
            for word, start in enumerate(row["word_starts"], row["first_word"]):
                owned = row["owned_first"] <= word < row["owned_end"]
                tags[i, offset + start] = tag_of(row["sentence"], word) if owned else 98
                chances[i, offset + start] = probability_of(row["sentence"], word) if owned else -1.0
        batches.append((tags, chances))
    return batches


def concatenated(batches):
    """As the evaluation loop joins batches: padded with -100 on the right, whatever side the tokenizer pads."""
    joined = batches[0]
    for batch in batches[1:]:
        joined = nested_concat(joined, batch, padding_index=-100)
    return joined


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any),
    shape=st.tuples(st.integers(1, 8), st.integers(0, 4), st.integers(1, 3)),
    batch_size=st.integers(1, 4),
    left=st.booleans(),
    everywhere=st.booleans(),
    whole=st.booleans(),
)
def test_each_word_gets_what_its_own_window_says(lengths, shape, batch_size, left, everywhere, whole):
    capacity, overlap, size = shape
    features = make_windows(lengths, max(capacity, size), overlap, size)
    batches = predict(features, batch_size, left=left, everywhere=everywhere)
    merged = merge_windows(lengths, features, concatenated(batches) if whole else batches, left=left)
    assert merged.tags == [[tag_of(i, j) for j in range(length)] for i, length in enumerate(lengths)]
    expected = [[probability_of(i, j) for j in range(length)] for i, length in enumerate(lengths)]
    for found, wanted in zip(merged.tag_probabilities, expected, strict=True):
        assert found == pytest.approx(wanted)
    assert merged.chain_probabilities is None
    assert merged.sentence_logits is None


def test_logits_are_turned_into_tags_and_their_probabilities():
    features = make_windows([2, 1], 4, 0)
    logits = np.full((2, 4, 3), -100.0, dtype=np.float32)
    logits[0, :] = [[0, 0, 9], [0.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0, 0, 9]]
    logits[1, :3] = [[0, 0, 9], [0.0, 0.0, 3.0], [0, 0, 9]]
    merged = merge_windows([2, 1], features, logits)
    assert merged.tags == [[1, 0], [2]]
    e = np.exp
    expected = [e(1) / (e(1) + 2), e(2) / (e(2) + 2), e(3) / (e(3) + 2)]
    assert [p for row in merged.tag_probabilities for p in row] == pytest.approx(expected)
    assert merged.chain_probabilities == merged.tag_probabilities


@pytest.mark.parametrize("left", [False, True])
def test_logits_of_left_padded_batches_are_found(left):
    features = make_windows([3, 1], 4, 0)
    logits = np.zeros((2, 5, 3), dtype=np.float32)
    logits[0, 1:4] = np.eye(3)
    logits[1, 3 if left else 1] = [0, 0, 1]
    joined = nested_concat(logits, np.zeros((0, 9, 3), dtype=np.float32), padding_index=-100)
    assert merge_windows([3, 1], features, joined, left=left).tags == [[0, 1, 2], [2]]


def test_the_sentence_logits_come_from_the_first_window():
    features = make_windows([5, 0, 1], 3, 0)
    tags = [np.array([[-100, 1, 1, 1, -100]]), np.array([[-100, 2, 2, -100]]), np.array([[-100, 3, -100]])]
    logits = [np.array([[0.5, 1.5]]), np.array([[9.0, 9.0]]), np.array([[2.5, 3.5]])]
    merged = merge_windows([5, 0, 1], features, list(zip(tags, logits, strict=True)), joint=True)
    assert merged.tags == [[1, 1, 1, 2, 2], [], [3]]
    assert merged.sentence_logits.tolist() == [[0.5, 1.5], [0.0, 0.0], [2.5, 3.5]]
    assert merged.tag_probabilities is None


def test_joint_models_may_give_probabilities_too_even_with_as_many_labels_as_tokens():
    features = make_windows([1], 3, 0)
    outputs = (np.array([[-100, 1, -100]]), np.full((1, 3), 0.5), np.full((1, 3), 0.25), np.ones((1, 3)))
    merged = merge_windows([1], features, outputs, joint=True)
    assert (merged.tag_probabilities, merged.chain_probabilities) == ([[0.5]], [[0.25]])
    assert merged.sentence_logits.tolist() == [[1.0, 1.0, 1.0]]


def test_predictions_of_other_windows_are_a_wrong_call():
    features = make_windows([2, 1], 4, 0)
    with pytest.raises(ValueError, match="1 predictions for 2 windows"):
        merge_windows([2, 1], features, np.array([[-100, 1, 1, -100]]))
    with pytest.raises(ValueError, match="more predictions than the 2 windows"):
        merge_windows([2, 1], features, np.zeros((3, 4), dtype=np.int64))
    with pytest.raises(ValueError, match="no tag for a word of sentence 1"):
        merge_windows([2, 1], features, np.array([[-100, 1, 1, -100], [-100, -100, -100, -100]]))
    with pytest.raises(ValueError, match="expected tags"):
        merge_windows([2, 1], features, np.zeros((2, 4), dtype=np.float32))


def test_merging_is_linear_in_the_number_of_windows():
    lengths = [100] * 4000
    features = make_windows(lengths, 120, 30)
    tags = np.zeros((4000, 102), dtype=np.int64)
    assert sum(map(len, merge_windows(lengths, features, [tags[:2000], tags[2000:]]).tags)) == 400_000
