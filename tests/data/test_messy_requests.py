"""Flags and rows that contradict one another: an error, or a note, never silence."""

from __future__ import annotations

import json
import logging

import pytest
from table_files import write, write_jsonl

from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData
from hf_ext.data.tagging import TaggingData, TaggingDataArguments
from hf_ext.errors import UserError
from hf_ext.models.schema import SINGLE_LABEL, LabelSchema, NumericColumn, TabularSchema, TaskSchema, TextSchema
from hf_ext.tokenization import build_tokenizer

ROWS = "text,label,price\n" + "".join(f"pen {i},{'good' if i % 2 else 'bad'},{i}\n" for i in range(12))
SAVED = TaskSchema(LabelSchema(SINGLE_LABEL, ("bad", "good")), TextSchema(("text",), max_length=64))


def load(*needs, saved=None, **flags):
    return ClassificationData.from_arguments(DataArguments(**flags), saved=saved, needs=needs)


@pytest.fixture
def rows(tmp_path) -> str:
    return str(write(tmp_path / "rows.csv", ROWS))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"text_column_names": "text,text"}, "'text' stands twice among the text columns"),
        ({"categorical_columns": "price,price"}, "'price' stands twice among the categorical columns"),
        ({"text_column_names": "text", "text_pair_column_name": "text"}, "both text and second text"),
    ],
)
def test_a_column_named_twice_is_refused(rows, flags, words):
    with pytest.raises(UserError, match=words):
        load("train", train_file=rows, **flags)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_list_of_labels_is_not_cut_to_its_first(tmp_path, streaming):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "x", "label": ["a"]}, {"text": "y", "label": ["b", "c"]}])
    with pytest.raises(UserError, match=r"a.jsonl:2: 2 labels in one row"):
        load("train", train_file=str(path), task="single_label", streaming=streaming)


def test_row_numbers_of_a_split_that_nothing_needs_are_refused(tmp_path, rows):
    indices = str(write(tmp_path / "split_indices.json", json.dumps({"rows": 12, "train": [0], "validation": [1]})))
    files = {"train_file": rows, "validation_file": rows, "test_file": rows}
    with pytest.raises(UserError, match=r"split_indices.json: --split_indices cuts .* have files of their own"):
        load("train", split_indices=indices, **files)
    conll = str(write(tmp_path / "rows.conll", "EU B-ORG\nrejects O\n\nit O\n"))
    flags = TaggingDataArguments(**dict.fromkeys(files, conll), split_indices=indices)
    with pytest.raises(UserError, match=r"split_indices.json: --split_indices cuts .* have files of their own"):
        TaggingData.from_arguments(flags, saved=None, needs={"train"})


@pytest.mark.parametrize("count", [0, -2])
@pytest.mark.parametrize("kind", [DataArguments, TaggingDataArguments])
def test_processes_below_one_are_refused(kind, count):
    with pytest.raises(ValueError, match=f"--preprocessing_num_workers must be at least 1, got {count}"):
        kind(preprocessing_num_workers=count)


@pytest.mark.parametrize(("shuffled", "lost"), [(False, 1), (True, 0)])
def test_the_first_rows_of_a_sorted_file_lack_labels_and_it_is_told(tmp_path, shuffled, lost):
    content = "text,label\n" + "".join(f"pen {i},{'bad' if i < 10 else 'good'}\n" for i in range(20))
    path = str(write(tmp_path / "sorted.csv", content))
    data = load("train", train_file=path, max_train_samples=8, shuffle_train_dataset=shuffled)
    told = [note for note in data.notes if "--max_train_samples keeps" in note]
    assert len(told) == lost
    for note in told:
        assert note.startswith(f"{path}: 1 of 2 labels do not occur")
        assert "'good' – pass --shuffle_train_dataset" in note


def test_no_label_is_lost_where_numbers_are_learned(tmp_path):
    path = str(write(tmp_path / "a.csv", "text,label\n" + "".join(f"pen {i},{i}\n" for i in range(20))))
    notes = load("train", train_file=path, max_train_samples=8, task="regression").notes
    assert not [note for note in notes if "--max_train_samples" in note]


def test_what_was_noticed_before_an_error_is_logged(tmp_path, caplog):
    path = write(tmp_path / "a.txt", "".join(f"text number {i}\tgood\n" for i in range(10)))
    with (
        caplog.at_level(logging.INFO, "hf_ext.data.preparation"),
        pytest.raises(UserError, match=r"no row is left for validation.*too rare to split"),
    ):
        load("train", "validation", train_file=str(path), validation_split=0.2)
    assert "read as label<TAB>text" in caplog.text


def test_the_line_numbers_are_no_column_of_the_user(rows):
    with pytest.raises(UserError, match="no column 'nope' among: text, label, price –"):
        load("train", "test", train_file=rows, test_file=rows, keep_columns="nope")


def test_flags_beside_split_indices_are_said_to_be_ignored(rows, tmp_path):
    first = load("train", "validation", train_file=rows, validation_split=0.25)
    indices = write(tmp_path / "split.json", json.dumps(first.split_indices))
    again = load("train", "validation", train_file=rows, validation_split=0.5, split_indices=str(indices))
    assert again.texts("validation") == first.texts("validation")
    assert any("decides the split" in note for note in again.notes)


def test_flags_that_a_saved_model_overrules_are_said_to_be_ignored(rows):
    same = load("test", saved=SAVED, test_file=rows, max_seq_length=64)
    assert not any("ignored" in note for note in same.notes)
    other = load("test", saved=SAVED, test_file=rows, max_seq_length=32, numeric_columns="price")
    assert [note.split(" is ignored")[0] for note in other.notes if "is ignored" in note] == [
        "--numeric_columns",
        "--max_seq_length",
    ]
    columns = TabularSchema(numeric=(NumericColumn("price"),))
    with_price = TaskSchema(SAVED.labels, SAVED.text, columns)
    fine = load("test", saved=with_price, test_file=rows, numeric_columns="price")
    assert not any("ignored" in note for note in fine.notes)


def test_labels_of_a_foreign_model_keep_their_order_when_it_is_trained(rows):
    foreign = TaskSchema(LabelSchema(SINGLE_LABEL, ("good", "bad")))
    data = load("train", saved=foreign, train_file=rows)
    assert data.schema.labels.names == ("good", "bad")
    assert data.schema.text.columns == ("text",)


def test_a_foreign_model_is_evaluated_on_guessed_columns(rows):
    data = load("validation", saved=TaskSchema(LabelSchema(SINGLE_LABEL, ("good", "bad"))), validation_file=rows)
    assert data.labels("validation")[:3] == [1, 0, 1]


@pytest.mark.parametrize("cell", ["1_000", "1e39", "-4e38", "inf"])
def test_numbers_that_a_model_cannot_hold_are_refused(tmp_path, cell):
    path = write(tmp_path / "a.csv", f"text,label,price\nx,a,1\ny,b,{cell}\n")
    with pytest.raises(UserError, match=r"a.csv:3: "):
        load("train", train_file=str(path), numeric_columns="price")


def test_sequences_are_no_longer_than_the_model(rows, tmp_path):
    data = load("train", train_file=rows)
    tokenizer = build_tokenizer(data.texts("train"), level="character", min_count=1)
    features = data.tokenize(tokenizer, cache_dir=tmp_path / "cache", positions=4)
    assert data.max_length == 4
    assert max(map(len, features["train"]["input_ids"])) == 4
    assert any("4 is used" in note for note in data.notes)


def test_a_test_file_without_labels_is_said_to_be_unscored(rows, tmp_path):
    path = write(tmp_path / "test.csv", "text,lable\npen,good\n")
    data = load("train", "test", train_file=rows, test_file=str(path))
    assert data.labels("test") == [None]
    assert f"{path}: no label column, so its predictions are not scored" in data.notes


@pytest.mark.parametrize("task", ["single_label", "regression"])
def test_a_delimiter_of_labels_contradicts_a_task_with_one(task):
    with pytest.raises(ValueError, match=f"--label_delimiter and --task {task} contradict"):
        DataArguments(label_delimiter=";", task=task)
