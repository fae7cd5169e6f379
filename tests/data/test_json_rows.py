from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_files import cells, fails, lines, write, write_jsonl

from hf_ext.data.arguments import DataArguments
from hf_ext.data.files import read_rows
from hf_ext.data.jsonrows import open_objects
from hf_ext.data.rows import LINE_COLUMN

ROWS = [{"text": "好", "label": "a"}, {"text": 'x "y"\n', "label": "b"}, {"text": "", "label": "c"}]
EXPECTED = [("好", "a"), ('x "y"\n', "b"), ("", "c")]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt"])
def test_json_lines_are_recognised_under_every_name(tmp_path, name):
    path = write_jsonl(tmp_path / name, ROWS)
    assert cells(path) == EXPECTED
    assert lines(path) == [1, 2, 3]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("indent", [None, 2])
def test_array_of_objects(tmp_path, name, indent):
    assert cells(write(tmp_path / name, json.dumps(ROWS, indent=indent))) == EXPECTED


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("other", [{}, {"version": 1, "meta": {"tags": [1]}}])
def test_object_with_one_list_gives_its_rows_and_says_so(tmp_path, indent, other):
    path = write(tmp_path / "a.json", json.dumps({**other, "rows": ROWS}, indent=indent))
    assert cells(path) == EXPECTED
    assert "the field 'rows'" in read_rows(path, DataArguments()).notes[0]


def test_a_single_json_line_with_a_list_of_objects_is_a_row(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "entities": [{"start": 0, "end": 1}]}\n')
    objects, _ = open_objects(path, ".jsonl")
    assert [value["text"] for _, value in objects()] == ["a"]
    assert [value for _, value in open_objects(write(path, '{"data": [{"text": "a"}]}\n'), ".jsonl")[0]()] == [
        {"text": "a"}
    ]


def test_data_is_preferred_among_several_lists(tmp_path):
    path = write(tmp_path / "a.json", json.dumps({"labels": ["a", "b"], "data": ROWS}))
    assert cells(path) == EXPECTED


@pytest.mark.parametrize("document", [{"a": [{}], "b": [{}]}, {"a": {"b": 1}}])
def test_object_without_a_clear_list_is_refused(tmp_path, document):
    fails(write(tmp_path / "a.json", json.dumps(document, indent=1)), "", "list", "JSON lines")


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=3)), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_array_and_lines_hold_the_same_rows(tmp_path, rows):
    objects = [{"text": text, "label": label} for text, label in rows]
    assert cells(write(tmp_path / "a.json", json.dumps(objects, indent=1))) == rows
    assert cells(write_jsonl(tmp_path / "a.jsonl", objects)) == rows


def test_rows_of_an_array_know_their_lines(tmp_path):
    path = write(tmp_path / "a.json", '[\n  {"text": "a\\n"},\n\n  {\n "text":\n"b"},{"text": "c"}]')
    assert lines(path) == [2, 4, 6]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1"),
        ("1.0", "1.0"),
        ("1e3", "1e3"),
        ("12345678901234567890", "12345678901234567890"),
        ("true", "true"),
        ("false", "false"),
        ("null", ""),
        ('"null"', "null"),
        ('"001"', "001"),
        ("NaN", "NaN"),
    ],
)
def test_values_become_the_text_they_are_written_as(tmp_path, value, text):
    assert cells(write(tmp_path / "a.jsonl", f'{{"text": "t", "label": {value}}}\n')) == [("t", text)]


def test_lists_stay_lists_of_text_and_the_whole_column_follows(tmp_path):
    rows = [{"t": "a", "y": ["x", 1]}, {"t": "b", "y": []}, {"t": "c", "y": "x"}, {"t": "d", "y": None}]
    assert cells(write_jsonl(tmp_path / "a.jsonl", rows)) == [("a", ["x", "1"]), ("b", []), ("c", ["x"]), ("d", [""])]


def test_missing_keys_are_empty_cells_with_a_note(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "a"}, {"text": "b", "label": "x"}, {"label": "y"}])
    table = read_rows(path, DataArguments())
    assert cells(path) == [("a", ""), ("b", "x"), ("", "y")]
    assert table.notes == [f"{path}: 2 rows lack some of the columns; their cells are read as empty"]


def test_blank_lines_between_objects_are_fine(tmp_path):
    path = write(tmp_path / "a.jsonl", '\n{"text": "a"}\n\n{"text": "b"}\n')
    assert cells(path) == [("a",), ("b",)]
    assert lines(path) == [2, 4]


# Broken


@pytest.mark.parametrize("broken", ['{"text": "b"', '{"text": "b",}', "{'text': 'b'}", '{"text": "b"} x'])
def test_broken_line_is_named(tmp_path, broken):
    path = write(tmp_path / "a.jsonl", f'{{"text": "a"}}\n\n{broken}\n{{"text": "c"}}\n')
    fails(path, 3, "broken JSON", "correct this line")


def test_broken_first_line_is_named(tmp_path):
    fails(write(tmp_path / "a.jsonl", '{"text": \n{"text": "c"}\n'), 1, "broken JSON")


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ('[\n{"text": "a"},\n{"text": }\n]', 3),
        ('[\n{"text": "a"}\n{"text": "b"}\n]', 3),
        ('[\n{"text": "a"},\n]', 3),
        ('[\n{"text": "a"},\n{"text": "b"', 3),
        ('{"data": [\n{"text": "a"},\n{"text": x}]}', 3),
        ('{\n"data" [', 2),
        ('{\n"data": []\n"x": 1}', 3),
    ],
)
def test_broken_document_names_the_line(tmp_path, document, line):
    fails(write(tmp_path / "a.json", document), line, "broken JSON")


@pytest.mark.parametrize(("row", "kind"), [('["a", "b"]', "a list"), ('"a"', "the value 'a'"), ("3", "the value '3'")])
def test_rows_that_are_not_objects_are_refused(tmp_path, row, kind):
    fails(write(tmp_path / "a.jsonl", f'{{"text": "a"}}\n{row}\n'), 2, kind, "not an object")


@pytest.mark.parametrize(
    ("value", "kind"), [({"a": 1}, "an object"), ([[1]], "a list of lists"), ([{"a": 1}], "an object")]
)
def test_nested_values_name_line_and_column(tmp_path, value, kind):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "a", "x": "b"}, {"text": "c", "x": value}])
    fails(path, 2, kind, "'x'", "flatten")


def test_nested_column_can_be_left_out(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "a", "x": {"deep": 1}}])
    assert cells(path, remove_columns="x") == [("a",)]


@pytest.mark.parametrize("content", ["", "\n", "[]", '{"data": []}'])
def test_empty_json_says_no_rows(tmp_path, content):
    fails(write(tmp_path / "a.json", content), "", "no rows")


def test_line_of_megabytes_is_read(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "x" * 3_000_000}])
    table = read_rows(path, DataArguments())
    assert len(table.rows[0]["text"]) == 3_000_000
    assert table.rows[0][LINE_COLUMN] == 1
