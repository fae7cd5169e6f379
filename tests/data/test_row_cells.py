from __future__ import annotations

import datetime
import math

import datasets
import pytest

from hf_ext.data.rows import LINE_COLUMN, RowReader, Table, check_column_names, name_unnamed, to_cell
from hf_ext.errors import UserError


def reader(records, columns=("a", "b"), lists=()) -> RowReader:
    return RowReader("t.csv", columns, lambda: iter(records), frozenset(lists))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("x", "x"),
        ("", ""),
        (None, ""),
        (math.nan, ""),
        (True, "true"),
        (3, "3"),
        (1.0, "1.0"),
        (datetime.datetime(2020, 1, 2, 3), "2020-01-02T03:00:00"),
        ([1, "a", None], ["1", "a", ""]),
        ([], []),
    ],
)
def test_values_as_cells(value, cell):
    assert to_cell(value, "a", "t:1") == cell


@pytest.mark.parametrize("value", [{}, {"x": 1}, b"x", [[1]], [{"x": 1}]])
def test_values_that_are_no_cells(value):
    with pytest.raises(UserError, match=r"^t:1: column 'a' holds "):
        to_cell(value, "a", "t:1")


def test_header_names():
    assert name_unnamed([" a ", "", "b", " "]) == ("a", "unnamed_1", "b", "unnamed_3")
    check_column_names(("a", "A", "b"), "t.csv")
    with pytest.raises(UserError, match=r"t.csv:1: two columns are named 'a'"):
        check_column_names(("a", "b", "a"), "t.csv")


def test_reader_fills_absent_cells_and_leaves_out_what_is_no_column():
    rows = list(reader([(1, {"a": "x", "z": "lost"}), (5, {"b": "y"})]))
    assert rows == [{"a": "x", "b": "", LINE_COLUMN: 1}, {"a": "", "b": "y", LINE_COLUMN: 5}]


def test_reader_wraps_text_in_list_columns():
    rows = list(reader([(1, {"a": ["x"]}), (2, {"a": "y"}), (3, {})], ("a",), ("a",)))
    assert [row["a"] for row in rows] == [["x"], ["y"], [""]]


def test_reading_gives_the_same_as_iterating():
    source = reader([(1, {"a": "x", "b": []}), (2, {"a": "y", "b": ["p", "q"]})], lists=("b",))
    table = source.read()
    assert isinstance(table, Table)
    assert list(table.rows) == list(source)
    assert table.rows.features == source.features
    assert table.rows.features["b"] == datasets.List(datasets.Value("string"))
    assert table.columns == ["a", "b"]


def test_reader_without_records_has_no_rows():
    with pytest.raises(UserError, match=r"^t.csv: no rows"):
        reader([]).read()


def test_half_a_character_is_replaced_and_whole_ones_stay():
    assert to_cell("a \ud800 b", "text", "a.jsonl:1") == "a \ufffd b"
    assert to_cell("\ud83d\ude00 \ud83d", "text", "a.jsonl:1") == "😀 \ufffd"
    assert to_cell("😀 好", "text", "a.jsonl:1") == "😀 好"
