"""Files with the faults of published data sets, and what the checks say of them."""

from __future__ import annotations

from typing import Any

import pytest
from table_files import write, write_jsonl

from hf_ext.data.arguments import DataArguments
from hf_ext.data.checks.classification import inspect_classification
from hf_ext.data.checks.report import DataReport
from hf_ext.data.classification import ClassificationData

FINE = [(f"text {i}", "ab"[i % 2]) for i in range(40)]


def inspect(*needs: str, **flags: Any) -> DataReport:
    data = ClassificationData.from_arguments(DataArguments(**flags), saved=None, needs=needs)
    return inspect_classification(data)


def counts(report: DataReport) -> dict[tuple[str, str], int]:
    """How often each check found something, by check and file name."""
    return {(finding.check, finding.source.rpartition("/")[2]): finding.number for finding in report.findings}


def labelled(pairs: list[tuple[str, str]]) -> str:
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in pairs)


@pytest.fixture
def three_files(tmp_path) -> dict[str, str]:
    train = [*FINE, ("text 0", "a"), ("text 1", "a"), ("", "a"), ("", "b")]
    files = {
        "train_file": labelled(train),
        "validation_file": labelled([("text 2", "a"), ("text 3", "a"), ("new", "b")]),
        "test_file": labelled([("new", "b"), ("text 2", "a")]),
    }
    return {flag: str(write(tmp_path / f"{flag}.csv", content)) for flag, content in files.items()}


def test_repeats_two_labels_and_leaks_are_counted_each_by_itself(three_files):
    assert counts(inspect("train", "validation", "test", **three_files)) == {
        ("empty_texts", "train_file.csv"): 2,
        ("repeated_rows", "train_file.csv"): 2,
        ("contradictions", "train_file.csv"): 1,
        ("seen_in_training", "validation_file.csv"): 2,
        ("other_answer_in_training", "validation_file.csv"): 1,
        ("seen_in_training", "test_file.csv"): 1,
        ("seen_in_validation", "test_file.csv"): 2,
    }


def test_the_figures_of_a_split_are_those_of_its_rows(three_files):
    report = inspect("train", "validation", "test", **three_files)
    train = report.splits["train"]
    assert (train["rows"], train["labels"], train["unlabelled"]) == (44, 2, 0)
    assert train["rows_of_label"] == {"a": 23, "b": 21}
    assert train["characters_max"] == len("text 39")
    assert report.splits["test"]["rows"] == 2


def test_rows_that_are_clean_are_passed_in_silence(tmp_path):
    train = write(tmp_path / "train.csv", labelled(FINE))
    dev = write(tmp_path / "dev.csv", labelled([(f"other {i}", "ab"[i % 2]) for i in range(10)]))
    assert not inspect("train", "validation", train_file=str(train), validation_file=str(dev)).findings


def test_the_sides_of_one_file_are_told_apart(tmp_path):
    path = write(tmp_path / "a.csv", labelled([("same", "a"), ("same", "b")] * 20))
    report = inspect("train", "validation", train_file=str(path), validation_split=0.25)
    assert counts(report) == {
        ("seen_in_training", "a.csv (validation rows)"): 10,
        ("repeated_rows", "a.csv (train rows)"): 29,
        ("repeated_rows", "a.csv (validation rows)"): 9,
        ("contradictions", "a.csv (train rows)"): 1,
        ("contradictions", "a.csv (validation rows)"): 1,
    }


def test_a_text_with_other_table_columns_is_another_input(tmp_path):
    rows = "".join(f"text {i // 2},{'ab'[i % 2]},s{i % 2}\n" for i in range(40))
    path = write(tmp_path / "a.csv", f"text,label,shop\n{rows}")
    found = counts(inspect("train", train_file=str(path), categorical_columns="shop"))
    assert found == {("telltale_column", "a.csv"): 100}
    assert ("contradictions", "a.csv") in counts(inspect("train", train_file=str(path), label_column_name="label"))


def test_columns_written_into_the_text_are_looked_at_too(tmp_path):
    rows = "".join(f"text {i},{'ab'[i % 2]},{i % 2}\n" for i in range(40))
    path = write(tmp_path / "a.csv", f"text,label,score\n{rows}")
    report = inspect("train", train_file=str(path), numeric_columns="score", columns_as_text=True)
    assert counts(report) == {("telltale_column", "a.csv"): 100}
    assert report.splits["train"]["lambda_of_column"] == {"score": 1.0}


def test_labels_in_lists_are_the_same_in_any_order(tmp_path):
    rows = [{"text": f"t{i}", "labels": ["x", "y"][: 1 + i % 2]} for i in range(20)]
    rows += [{"text": "twice", "labels": ["x", "y"]}, {"text": "twice", "labels": ["y", "x"]}]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    report = inspect("train", train_file=str(path))
    assert counts(report) == {("repeated_rows", "a.jsonl"): 1}
    assert report.splits["train"]["rows_of_label"] == {"x": 22, "y": 12}


def test_targets_of_a_regression_are_described_by_range_and_spread(tmp_path):
    path = write(tmp_path / "a.csv", "text,score\n" + "".join(f"t{i},{i % 3}\n" for i in range(9)))
    report = inspect("train", train_file=str(path), task="regression", label_column_name="score")
    assert report.splits["train"]["targets"] == {"min": 0.0, "mean": 1.0, "max": 2.0, "deviation": 0.8165}
    assert not report.findings


def test_pairs_are_repeats_only_if_both_texts_are(tmp_path):
    rows = "".join(f"same,other {i},{'ab'[i % 2]}\n" for i in range(20))
    path = write(tmp_path / "a.csv", f"sentence1,sentence2,label\n{rows}same,other 3,b\n")
    assert counts(inspect("train", train_file=str(path))) == {("repeated_rows", "a.csv"): 1}


def test_what_a_wrong_encoding_has_left_is_found(tmp_path):
    path = write(tmp_path / "a.csv", labelled([*FINE, ("caf\N{REPLACEMENT CHARACTER}", "a"), ("bell \x07", "b")]))
    assert counts(inspect("train", train_file=str(path))) == {("broken_characters", "a.csv"): 2}


def test_a_test_file_without_labels_is_described_without_them(tmp_path):
    train = write(tmp_path / "train.csv", labelled(FINE))
    test = write(tmp_path / "test.csv", "text\nnew\ntext 1\n")
    report = inspect("train", "test", train_file=str(train), test_file=str(test))
    assert "labels" not in report.splits["test"]
    assert report.splits["test"]["unlabelled"] == 2
    assert counts(report) == {("seen_in_training", "test.csv"): 1}


def test_rows_that_are_streamed_are_passed_over(tmp_path):
    train = write(tmp_path / "train.csv", labelled(FINE))
    dev = write(tmp_path / "dev.csv", labelled(FINE[:4]))
    report = inspect("train", "validation", train_file=str(train), validation_file=str(dev), streaming=True)
    assert list(report.splits) == ["validation"]
