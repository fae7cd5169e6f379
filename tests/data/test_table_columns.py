from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from hf_ext.data.checks.columns import inspect_columns, read_column
from hf_ext.data.checks.compared_rows import ComparedRows
from hf_ext.data.checks.table_columns import group_numbers, predictive_power


def rows(split: str, labels: list[int]) -> ComparedRows:
    numbers = np.arange(len(labels))
    return ComparedRows(split, f"{split}.csv", numbers + 2, numbers, numbers, np.array(labels))


def checks_of(found) -> dict[str, int]:
    return {finding.check: finding.number for finding in found}


@pytest.mark.parametrize("seed", range(10))
def test_predictive_power_equals_its_definition_in_plain_loops(seed):
    generator = np.random.default_rng(seed)
    cells, labels = generator.integers(0, 8, 80), generator.integers(0, 3, 80)
    new_cells, new_labels = generator.integers(0, 10, 50), generator.integers(0, 3, 50)
    commonest = int(np.bincount(labels).argmax())
    right = 0
    for cell, label in zip(new_cells, new_labels, strict=True):
        counts = np.bincount(labels[cells == cell], minlength=3)
        right += int(counts.argmax() if counts.sum() else commonest) == label
    base = int((new_labels == commonest).sum())
    expected = (right - base) / (50 - base)
    assert predictive_power(cells, labels, new_cells, new_labels) == pytest.approx(expected, abs=1e-12)


def test_power_is_one_for_the_label_itself_and_none_without_anything_to_tell():
    labels = np.array([0, 1, 2] * 10)
    assert predictive_power(labels, labels, labels, labels) == 1
    assert predictive_power(np.arange(30), labels, np.arange(30) + 100, labels) == 0
    same = np.zeros(30, dtype=int)
    assert predictive_power(same, same, same, same) == 0
    assert predictive_power(same[:0], same[:0], same, same) == 0


def test_numbers_are_grouped_by_what_training_has():
    few, other = group_numbers([np.array([1.0, 2, 2, np.nan]), np.array([2.0, np.nan, 9])])
    assert few.tolist() == [2, 3, 3, 0]
    assert other.tolist() == [3, 0, 3]
    (many,) = group_numbers([np.arange(1000.0)])
    assert len(set(many)) == 50


@pytest.mark.parametrize("held_out", [False, True])
def test_a_column_that_gives_the_label_away_is_found(held_out):
    labels = [0, 1, 1, 0, 1] * 8
    table = pa.table(
        {
            "tells": ["yes" if label else "no" for label in labels],
            "score": [str(0.5 * label) for label in labels],
            "noise": [str(i % 7) for i in range(40)],
            "id": [f"r{i}" for i in range(40)],
        }
    )
    tables, compared = {"train": table}, {"train": rows("train", labels)}
    if held_out:
        tables["test"], compared["test"] = table, rows("test", labels)
    found, powers = inspect_columns(
        tables, compared, ["tells", "score", "noise"], categorical=["tells"], single_label=True
    )
    assert [finding.check for finding in found] == ["telltale_column", "telltale_column"]
    assert powers["tells"] == powers["score"] == 1
    assert powers["noise"] < 0.5
    assert "'tells'" in found[0]


def test_an_id_is_named_as_one_and_gives_nothing_away():
    labels = [0, 1] * 20
    table = pa.table({"id": [f"r{i}" for i in range(40)]})
    found, powers = inspect_columns(
        {"train": table}, {"train": rows("train", labels)}, ["id"], categorical=["id"], single_label=True
    )
    assert checks_of(found) == {"identifying_column": 40}
    assert powers["id"] <= 0


def test_constant_and_empty_columns_are_named():
    table = pa.table(
        {"same": ["a"] * 199 + ["b"], "gaps": [""] * 100 + ["1"] * 50 + ["2"] * 50, "fine": ["1", "2"] * 100}
    )
    found, powers = inspect_columns(
        {"train": table},
        {"train": rows("train", [0] * 200)},
        ["same", "gaps", "fine"],
        categorical=[],
        single_label=False,
    )
    assert checks_of(found) == {"near_constant_column": 199, "missing_cells": 100}
    assert "'a'" in found[0]
    assert powers == {}


def test_numbers_are_names_where_the_column_is_one_of_categories():
    table = {"train": pa.table({"id": [str(i) for i in range(30)]})}
    numbers, _ = read_column(table, "id", is_category=False)
    names, _ = read_column(table, "id", is_category=True)
    assert (numbers["train"].numeric, names["train"].numeric) == (True, False)
