"""Whole files in, answers out: in the order of the rows, with their columns, and nothing half written."""

from __future__ import annotations

import csv
import json
import logging
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import saved_models
from scripts.ner_files import english, write_columns
from scripts.support import ROOT, read_csv, write_csv

from hf_ext.errors import UserError
from hf_ext.inference import Predictor, file_prediction, predict_command
from hf_ext.inference.file_prediction import FileOptions, predict_file

ROWS = saved_models.ROWS


@pytest.fixture(scope="module")
def by_text(tmp_path_factory):
    return Predictor.from_pretrained(saved_models.save_classifier(tmp_path_factory.mktemp("text"), "text"))


@pytest.fixture(scope="module")
def by_columns(tmp_path_factory):
    return Predictor.from_pretrained(saved_models.save_classifier(tmp_path_factory.mktemp("columns"), "columns"))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return Predictor.from_pretrained(saved_models.save_tagger(tmp_path_factory.mktemp("tagger")))


def read_json_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_file(path, rows):
    """Write rows of text cells in the form that the extension names."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        write_csv(path, rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        path.write_text("".join(row["text"] + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("extension", [".csv", ".json", ".jsonl", ".parquet", ".txt"])
def test_every_kind_of_file_gives_the_same_answers(extension, by_text, tmp_path, monkeypatch):
    monkeypatch.setattr(file_prediction, "CHUNK", 4)  # 11 rows are three chunks
    source = write_file(tmp_path / f"rows{extension}", ROWS)
    assert predict_file(by_text, source, tmp_path / "out.jsonl") == len(ROWS)
    found = read_json_lines(tmp_path / "out.jsonl")
    for row, answer, expected in zip(ROWS, found, by_text([row["text"] for row in ROWS]), strict=True):
        assert answer["prediction"] == expected["prediction"]
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
        assert answer["text"] == row["text"]
    ids = [str(i) for i in range(len(ROWS))] if extension == ".txt" else [row["id"] for row in ROWS]
    assert [answer["id"] for answer in found] == ids


def test_a_csv_repeats_the_columns_and_runs_no_formula(by_columns, tmp_path):
    rows = [{**ROWS[0], "score": "mine", "note": "=1+1"}, {**ROWS[1], "score": "yours", "note": "-3"}]
    source = write_file(tmp_path / "rows.csv", rows)
    predict_file(by_columns, source, tmp_path / "out.csv")
    first, second = read_csv(tmp_path / "out.csv")
    columns = ["id", "text", "label", "shop", "price", "second", "input_score", "note"]
    labels = ["probability_bad", "probability_good", "probability_so-so"]
    assert list(first) == [*columns, "prediction", "score", *labels]
    assert (first["input_score"], first["note"], second["note"]) == ("mine", "'=1+1", "-3")
    expected = by_columns(rows[0])
    assert first["prediction"] == expected["prediction"]
    assert float(first["score"]) == pytest.approx(expected["score"], abs=1e-5)
    predict_file(by_columns, source, tmp_path / "out.csv", FileOptions(keep_columns=("shop",), id_column_name="note"))
    first, second = read_csv(tmp_path / "out.csv")
    assert list(first) == ["id", "shop", "prediction", "score", *labels]
    assert second["id"] == "-3"


def test_columns_may_have_other_names_in_the_file(by_columns, tmp_path):
    renamed = [{"review": row["text"], "shop": row["shop"], "price": row["price"]} for row in ROWS]
    source = write_file(tmp_path / "rows.csv", renamed)
    with pytest.raises(UserError, match="no column 'text' among: review, shop, price"):
        predict_file(by_columns, source, tmp_path / "out.jsonl")
    predict_file(by_columns, source, tmp_path / "out.jsonl", FileOptions(text_column_names="review"))
    found = read_json_lines(tmp_path / "out.jsonl")
    assert [answer["prediction"] for answer in found] == [answer["prediction"] for answer in by_columns(ROWS)]


def test_a_fault_in_the_middle_leaves_the_old_file(by_columns, tmp_path):
    rows = [*ROWS, {**ROWS[0], "price": "much"}]
    source = write_file(tmp_path / "rows.csv", rows)
    (tmp_path / "out.csv").write_text("old", encoding="utf-8")
    with pytest.raises(UserError, match=r"rows.csv:13: 'much' is not a number"):
        predict_file(by_columns, source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", "out.csv"}


SENTENCES = [words for words, _, _ in english(9, offset=40)]
TEXTS = [" ".join(words) for words in SENTENCES]


@pytest.mark.parametrize("name", ["plain.txt", "columns.conll", "table.csv", "table.jsonl", "tokens.jsonl"])
def test_a_tagger_reads_text_tables_and_columns(name, tagger, tmp_path):
    source = tmp_path / name
    if name == "plain.txt":
        source.write_text("\n".join(TEXTS), encoding="utf-8")
    elif name == "columns.conll":
        write_columns(source, english(9, offset=40))
    elif name == "tokens.jsonl":
        source.write_text("".join(json.dumps({"tokens": words}) + "\n" for words in SENTENCES), encoding="utf-8")
    else:
        write_file(source, [{"number": str(i), "text": text} for i, text in enumerate(TEXTS)])
    assert predict_file(tagger, source, tmp_path / "out.jsonl") == len(TEXTS)
    found = read_json_lines(tmp_path / "out.jsonl")
    assert [answer["entities"] for answer in found] == [answer["entities"] for answer in tagger(TEXTS)]
    assert [answer["words"] for answer in found] == SENTENCES
    assert ("number" in found[0]) == (name == "table.csv")


def test_a_tagger_writes_entities_into_a_csv(tagger, tmp_path):
    source = write_file(tmp_path / "rows.txt", [{"text": text} for text in TEXTS])
    predict_file(tagger, source, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = tagger(TEXTS)
    assert [json.loads(row["words"]) for row in rows] == SENTENCES
    for row, answer in zip(rows, expected, strict=True):
        entities = json.loads(row["entities"])
        assert [e["text"] for e in entities] == [e["text"] for e in answer["entities"]]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_answers_a_file(tmp_path, caplog):
    model = saved_models.save_classifier(tmp_path / "model", "text")
    source = write_file(tmp_path / "rows.csv", ROWS)
    with caplog.at_level(logging.INFO):
        predict_command.main(
            [model, str(source), "-o", str(tmp_path / "out.csv"), "--keep_columns", "shop", "--device", "cpu"]
        )
    assert f"11 rows answered: {tmp_path / 'out.csv'}" in caplog.text
    assert list(read_csv(tmp_path / "out.csv")[0])[:3] == ["id", "shop", "prediction"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model"], "the following arguments are required: file, -o/--output – --help lists the flags"),
        (["model", "nothing.csv", "-o", "out.csv"], "nothing.csv: no such file – check the path"),
        (["model", "{file}", "-o", "out.xlsx"], r"answers are written as \.csv or \.jsonl"),
        (["model", "{file}", "-o", "no/where/out.csv"], "no/where: no such folder"),
        (["./model", "{file}", "-o", "out.csv"], "'./model' is not a folder here"),
        (["model", "{file}", "-o", "out.csv", "--batch_size", "0"], "expected a number of at least 1, got '0'"),
        (["model", "{file}", "-o", "out.csv", "--keep", "x"], "unrecognized arguments: --keep x"),
        (["model", "{file}", "-o", "out.csv", "--trust_remote_code"], "--model_revision"),
    ],
)
def test_mistakes_are_answered_in_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write_file(tmp_path / "rows.csv", ROWS)
    with pytest.raises(UserError, match=message) as caught:
        predict_command.main([word.format(file=file) for word in words])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_module_ends_with_one_line_and_status_2(tmp_path):
    words = ["-m", "hf_ext.inference.predictor", "model", "nothing.csv", "-o", "out.csv"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 2
    assert run.stderr.strip() == "hf_ext: error: nothing.csv: no such file – check the path"
    assert run.stdout == ""
