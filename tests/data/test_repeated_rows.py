"""Repeats, contradictions and rows that splits share, against counts by brute force."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from hf_ext.data.checks.compared_rows import NONE, ComparedRows, find_blank, number_rows
from hf_ext.data.checks.repeats import find_contradictions, find_other_answers, find_repeats, find_shared


def random_rows(split: str, seed: int, count: int = 60, kinds: int = 25) -> ComparedRows:
    generator = np.random.default_rng(seed)
    inputs, answers = generator.integers(-1, kinds, count), generator.integers(-1, 3, count)
    return ComparedRows(split, f"{split}.csv", np.arange(2, count + 2), inputs, inputs, answers)


def numbers(findings) -> int:
    return sum(finding.number for finding in findings)


def answers_by_input(rows: ComparedRows) -> dict[int, list[int]]:
    known = defaultdict(list)
    for text, answer in zip(rows.inputs, rows.answers, strict=True):
        if text != NONE and answer != NONE:
            known[text].append(answer)
    return known


@pytest.mark.parametrize("seed", range(20))
def test_counts_equal_those_of_plain_loops(seed):
    train, test = random_rows("train", seed), random_rows("test", seed + 100, kinds=40)
    seen: set[int] = set()
    repeats = []
    for line, text in zip(train.lines, train.inputs, strict=True):
        repeats += [line] if text in seen and text != NONE else []
        seen.add(text)
    (found,) = find_repeats(train)
    assert (found.number, found.line, found.total) == (len(repeats), repeats[0], len(train.lines))

    known = answers_by_input(train)
    assert numbers(find_contradictions(train)) == sum(len(set(answers)) > 1 for answers in known.values())

    pairs = [
        (text, answer) for text, answer in zip(test.inputs, test.answers, strict=True) if NONE not in (text, answer)
    ]
    other = [text for text, answer in pairs if text in seen and answer not in known.get(text, [])]
    assert numbers(find_other_answers(train, test)) == len(other)
    assert numbers(find_shared(train, test)) == sum(text in seen for text in test.inputs if text != NONE)


def test_a_contradiction_names_its_two_lines():
    inputs, answers = np.array([5, 1, 2, 1, 2, 1]), np.array([0, 0, 1, 0, 0, 1])
    (found,) = find_contradictions(ComparedRows("train", "a.csv", np.arange(10, 16), inputs, inputs, answers))
    assert found.number == 2
    assert "e.g. lines 11 and 15" in found


def test_splits_without_a_common_text_are_passed_in_silence():
    first = ComparedRows("train", "a.csv", np.arange(3), *(np.arange(3),) * 3)
    second = ComparedRows("validation", "b.csv", np.arange(3), *(np.arange(3) + 3,) * 3)
    nobody = ComparedRows("test", "c.csv", np.arange(3), *(np.full(3, NONE),) * 3)
    for rows in (first, second, nobody):
        assert not find_repeats(rows) + find_contradictions(rows)
    assert not find_shared(first, second) + find_other_answers(first, second)
    assert not find_shared(second, nobody) + find_other_answers(first, nobody)


def test_rows_are_equal_when_all_their_cells_are():
    first = pa.table({"a": ["x", "x", "y", "x"], "b": [["1"], ["2"], ["1"], ["1"]]})
    second = pa.table({"a": ["y", "z"], "b": [["1"], ["1"]]})
    one, two = number_rows([first, second], ["a", "b"])
    assert one[0] == one[3]
    assert one[2] == two[0]
    assert len({*one.tolist(), *two.tolist()}) == 4


def test_a_row_is_blank_when_all_its_texts_are():
    table = pa.table({"a": ["", " ", "x", "\u3000\t"], "b": ["", "y", "", "\n"]})
    assert find_blank(table, ["a", "b"]).tolist() == [True, False, False, True]
