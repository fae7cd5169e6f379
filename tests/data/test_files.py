from __future__ import annotations

import datetime

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_files import cells, fails, write, write_jsonl

from hf_ext.data.arguments import DataArguments
from hf_ext.data.files import find_extension, find_split_files, read_rows, stream_rows
from hf_ext.data.rows import LINE_COLUMN
from hf_ext.errors import UserError

FILES = {
    "a.csv": 'text,label\n"x\ny",1\nNA,001\n',
    "a.tsv": "text\tlabel\nx\t1\ny\t2\n",
    "a.txt": "1\tx\n2\ty\n",
    "plain.txt": "one\n\ntwo\n",
    "a.jsonl": '{"text": "x", "label": ["a", "b"]}\n{"text": "y", "label": null}\n{"other": 1}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_streaming_gives_the_same_rows_as_reading(tmp_path, name):
    path = write(tmp_path / name, FILES[name])
    assert list(stream_rows(path, DataArguments())) == list(read_rows(path, DataArguments()).rows)


def test_parquet_streams_the_same_rows(tmp_path):
    path = tmp_path / "a.parquet"
    datasets.Dataset.from_dict({"text": [str(i) for i in range(2500)], "y": list(range(2500))}).to_parquet(path)
    assert list(stream_rows(path, DataArguments())) == list(read_rows(path, DataArguments()).rows)


def test_streaming_reads_no_further_than_asked(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na,x\nragged\n")
    rows = stream_rows(path, DataArguments())
    assert next(rows) == {"text": "a", "label": "x", LINE_COLUMN: 2}
    with pytest.raises(UserError, match=":3: 1 cells"):
        next(rows)


@pytest.mark.parametrize("content", ['[{"text": "a"}]', '{"data": [{"text": "a"}]}'])
def test_json_document_cannot_be_streamed(tmp_path, content):
    with pytest.raises(UserError, match="write it as jsonl"):
        stream_rows(write(tmp_path / "a.json", content), DataArguments())


def test_parquet_values_become_text(tmp_path):
    path = tmp_path / "a.parquet"
    datasets.Dataset.from_dict(
        {
            "text": ["a", None],
            "whole": [1, None],
            "real": [1.5, float("nan")],
            "flag": [True, False],
            "day": [datetime.date(2020, 1, 2), None],
            "many": [["x", "y"], []],
        }
    ).to_parquet(path)
    assert cells(path) == [("a", "1", "1.5", "true", "2020-01-02", ["x", "y"]), ("", "", "", "false", "", [])]
    assert read_rows(path, DataArguments()).rows[LINE_COLUMN][:] == [1, 2]


def test_broken_parquet_is_one_line(tmp_path):
    fails(write(tmp_path / "a.parquet", "not parquet"), "", "not a parquet file")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_columns_can_be_left_out(tmp_path, name):
    path = tmp_path / name
    rows = datasets.Dataset.from_dict({"a": ["1"], "b": ["2"], "c": ["3"]})
    {"csv": rows.to_csv, "jsonl": rows.to_json, "parquet": rows.to_parquet}[name[2:]](path)
    assert read_rows(path, DataArguments(remove_columns="b, absent")).columns == ["a", "c"]


def test_missing_file_is_named(tmp_path):
    fails(tmp_path / "absent.csv", "", "no such file")


def test_folder_in_place_of_a_file_points_to_data_dir(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    fails(tmp_path / "folder.csv", "", "folder", "--data_dir")


@pytest.mark.parametrize(("name", "shown"), [("a.xlsx", ".xlsx"), ("a", "no extension"), ("a.xml.gz", ".xml")])
def test_unknown_extension_lists_the_known_ones(tmp_path, name, shown):
    fails(write(tmp_path / name, "x"), "", shown, ".parquet")


@pytest.mark.parametrize(("name", "extension"), [("a.CSV", ".csv"), ("a.b.tsv", ".tsv"), ("a.jsonl.gz", ".jsonl")])
def test_extension_is_the_last_one_without_gz(tmp_path, name, extension):
    assert find_extension(tmp_path / name) == extension


def test_line_numbers_do_not_count_as_a_column(tmp_path):
    table = read_rows(write_jsonl(tmp_path / "a.jsonl", [{"text": "a"}]), DataArguments())
    assert table.columns == ["text"]
    assert table.rows.column_names == ["text", LINE_COLUMN]
    assert table.source == str(tmp_path / "a.jsonl")


@pytest.mark.parametrize("stem", ["dev", "val", "valid", "validation", "eval", "DEV"])
def test_folder_files_are_found_by_their_usual_names(tmp_path, stem):
    names = {"train": "train.csv", "validation": f"{stem}.tsv", "test": "test.jsonl.gz"}
    for name in [*names.values(), "train.md", "notes.txt", "train2.csv", "testing.csv"]:
        write(tmp_path / name, "x")
    assert {split: path.name for split, path in find_split_files(tmp_path).items()} == names


def test_two_files_for_one_split_are_refused(tmp_path):
    write(tmp_path / "dev.csv", "x")
    write(tmp_path / "val.csv", "x")
    with pytest.raises(UserError, match=r"dev.csv and val.csv .* --validation_file"):
        find_split_files(tmp_path)


def test_folder_without_files_and_missing_folder(tmp_path):
    with pytest.raises(UserError, match="no train, dev or test file"):
        find_split_files(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        find_split_files(tmp_path / "absent")


def test_a_parquet_file_whose_column_names_are_damaged(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"sentence": ["fine"]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"sentence", b"\xecentence"))
    with pytest.raises(UserError, match=r"a\.parquet: not a parquet file \(.*decode"):
        read_rows(path, DataArguments())
