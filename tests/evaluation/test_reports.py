"""Prediction files: what is written reads back the same, and no spreadsheet runs it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_ext.evaluation.decisions import sigmoid, softmax
from hf_ext.evaluation.reports import (
    FORMULA_STARTS,
    PLAIN_NUMBER,
    csv_cell,
    display_width,
    summary_table,
    write_predictions,
)
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, LabelSchema

SINGLE = LabelSchema(names=("体育", "财经", "娱乐"))
MULTI = LabelSchema(MULTI_LABEL, ("joy", "anger", "=sum"))
NUMBER = LabelSchema(REGRESSION)
LOGITS = np.array([[3.0, 1.0, -1.0], [-2.0, 0.0, 5.0]])


def write(folder, labels=SINGLE, logits=LOGITS, ids=None, columns=None):
    ids = list(range(len(logits))) if ids is None else ids
    return write_predictions(folder, labels=labels, logits=logits, ids=ids, columns=columns or {})


def read_csv(folder):
    with open(folder / "predictions.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_jsonl(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]


def test_the_three_files_are_written_and_nothing_else(tmp_path):
    paths = write(tmp_path / "new")
    assert [path.name for path in paths] == ["predictions.csv", "predictions.jsonl", "predict_results.txt"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)


def test_single_label_rows_read_back_with_names_and_probabilities(tmp_path):
    write(tmp_path, ids=["r9", "r1"], columns={"标题": ["球赛", '电影, "新"\n片']})
    table, lines = read_csv(tmp_path), read_jsonl(tmp_path)
    assert list(table[0]) == [
        *("id", "标题", "prediction", "score", "probability_体育", "probability_财经", "probability_娱乐")
    ]
    chances = softmax(LOGITS)
    for i, (row, line) in enumerate(zip(table, lines, strict=True)):
        assert row["id"] == line["id"] == ["r9", "r1"][i]
        assert row["标题"] == line["标题"] == ["球赛", '电影, "新"\n片'][i]
        assert row["prediction"] == line["prediction"] == ["体育", "娱乐"][i]
        assert line["score"] == chances[i].max()
        assert float(row["score"]) == pytest.approx(line["score"], rel=1e-5)
        assert list(line["probabilities"]) == list(SINGLE.names)
        np.testing.assert_array_equal(list(line["probabilities"].values()), chances[i])
        np.testing.assert_allclose([float(row[f"probability_{name}"]) for name in SINGLE.names], chances[i], rtol=1e-5)


def test_multi_label_rows_list_every_label_from_one_half_on(tmp_path):
    write(tmp_path, MULTI, logits=[[1.0, -1.0, 0.0], [-1.0, -2.0, -3.0]])
    table, lines = read_csv(tmp_path), read_jsonl(tmp_path)
    assert [line["prediction"] for line in lines] == [["joy", "=sum"], []]
    assert lines[0]["score"] == [sigmoid(1.0), 0.5]
    assert [json.loads(row["prediction"]) for row in table] == [["joy", "=sum"], []]
    assert "'=sum" not in (tmp_path / "predictions.jsonl").read_text(encoding="utf-8")


def test_a_negative_number_stays_a_number(tmp_path):
    write(tmp_path, NUMBER, logits=[[-1.25], [3.0]], ids=[-1, 2], columns={"text": ["-1.25", "a"]})
    table = read_csv(tmp_path)
    assert list(table[0]) == ["id", "text", "prediction"]
    assert table[0] == {"id": "-1", "text": "-1.25", "prediction": "-1.25"}
    assert read_jsonl(tmp_path)[0] == {"id": -1, "text": "-1.25", "prediction": -1.25}


def test_the_official_text_file(tmp_path):
    write(tmp_path)
    assert (tmp_path / "predict_results.txt").read_bytes() == "index\tprediction\n0\t体育\n1\t娱乐\n".encode()
    write(tmp_path, NUMBER, logits=[[0.12345], [-2.0]])
    assert (tmp_path / "predict_results.txt").read_text() == "index\tprediction\n0\t0.123\n1\t-2.000\n"
    write(tmp_path, MULTI, logits=[[1.0, 1.0, -1.0]])
    assert (tmp_path / "predict_results.txt").read_text() == "index\tprediction\n0\t['joy', 'anger']\n"


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_no_text_cell_starts_a_formula(tmp_path, start):
    name = f"{start}cmd|' /C calc'!A0"
    write(
        tmp_path,
        LabelSchema(names=(name, "b")),
        logits=[[2.0, 0.0]],
        ids=[name],
        columns={name: [name]},
    )
    with open(tmp_path / "predictions.csv", encoding="utf-8", newline="") as stream:
        header, row = list(csv.reader(stream))
    assert row[:3] == [f"'{name}"] * 3
    assert header[1] == f"'{name}"
    assert read_jsonl(tmp_path)[0]["id"] == name


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_text_reads_back(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("any")
    write(folder, NUMBER, logits=[[0.0]] * len(texts), columns={"text": texts})
    assert [line["text"] for line in read_jsonl(folder)] == texts
    found = [row["text"] for row in read_csv(folder)]
    assert [cell[1:] if cell != text else cell for cell, text in zip(found, texts, strict=True)] == texts
    assert all(PLAIN_NUMBER.fullmatch(cell) for cell in found if cell.startswith(FORMULA_STARTS))


@pytest.mark.parametrize("label", ["-1", "+1", "-.5", "+3e-5", "0"])
def test_a_label_that_is_a_number_stays_what_it_is(tmp_path, label):
    write(tmp_path, LabelSchema(names=(label, "b")), logits=[[2.0, 0.0]])
    assert read_csv(tmp_path)[0]["prediction"] == label


@pytest.mark.parametrize("text", ["-1+cmd|' /C calc'!A0", "+1;=2", "-", "-1\n", "--1", "-1e", "－1", "-١"])
def test_what_only_begins_like_a_number_is_no_number(text):
    assert csv_cell(text) == f"'{text}"


def test_an_input_column_with_one_of_our_names_is_renamed(tmp_path):
    columns = {"prediction": ["p", "q"], "id": ["i", "j"], "probability_体育": ["x", "y"], "input_id": ["k", "l"]}
    write(tmp_path, columns=columns)
    first = read_csv(tmp_path)[0]
    assert (first["prediction"], first["input_prediction"]) == ("体育", "p")
    assert (first["id"], first["input_id"], first["input_input_id"]) == ("0", "k", "i")
    assert first["input_probability_体育"] == "x"
    assert read_jsonl(tmp_path)[0]["input_prediction"] == "p"


def test_no_rows_give_headers_only(tmp_path):
    write(tmp_path, logits=np.zeros((0, 3)))
    assert read_csv(tmp_path) == []
    assert read_jsonl(tmp_path) == []
    assert (tmp_path / "predictions.csv").read_text(encoding="utf-8").startswith("id,prediction,score,")


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    write(tmp_path)
    before = (tmp_path / "predictions.csv").read_bytes()

    def refuse(source, target):
        raise OSError("disk")

    monkeypatch.setattr("hf_ext.evaluation.reports.os.replace", refuse)
    with pytest.raises(OSError, match="disk"):
        write(tmp_path, logits=LOGITS[::-1])
    assert (tmp_path / "predictions.csv").read_bytes() == before


def test_sizes_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"logits have shape \(2, 2\), the label schema has 3 labels"):
        write(tmp_path, logits=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="column 'text' has 1 cells for 2 rows"):
        write(tmp_path, columns={"text": ["a"]})
    with pytest.raises(ValueError, match="column 'id' has 3 cells for 2 rows"):
        write(tmp_path, ids=[1, 2, 3])


def test_summary_table_aligns_chinese_and_numbers():
    table = summary_table([["", "f1", "rows"], ["验证", 0.5, 10], ["test: floor", 0.25, "1,000"]])
    assert table.split("\n") == [
        *("             f1      rows", "验证         0.5000     10", "test: floor  0.2500  1,000"),
    ]


@given(st.lists(st.lists(st.text("ab体é字", max_size=5), min_size=2, max_size=2), min_size=1, max_size=5))
def test_second_column_always_starts_at_the_same_place(cells):
    rows = [[first, f"|{second}"] for first, second in cells]
    assert len({display_width(line[: line.index("|")]) for line in summary_table(rows).split("\n")}) == 1


def test_summary_table_of_nothing_is_empty_and_ragged_rows_are_refused():
    assert summary_table([]) == ""
    with pytest.raises(ValueError, match="equal length"):
        summary_table([["a"], ["b", "c"]])


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("体育", 4), ("Ａ", 2), ("e\u0301", 1), ("", 0)])
def test_display_width(text, width):
    assert display_width(text) == width


def test_scores_of_several_labels_have_six_digits_too(tmp_path):
    write(tmp_path, labels=MULTI, logits=[[1.0, 2.0, -3.0]])
    assert json.loads(read_csv(tmp_path)[0]["score"]) == [0.731059, 0.880797]
