"""The scripts tell what they noticed in the data, and keep it in the output folder."""

from __future__ import annotations

import pytest
from reviews import review_rows
from scripts.ner_files import english, write_columns
from scripts.pretraining_files import english as documents
from scripts.pretraining_files import save_tiny_encoder, write_documents
from scripts.support import read_json, run_main, write_csv

FEW = ("--do_train", "--max_steps", "1", "--use_cpu", "--disable_tqdm", "true", "--save_strategy", "no")
SMALL = {
    "run_classification.py": ("--model_type", "textcnn", "--embedding_size", "8", "--filter_num", "4"),
    "run_ner.py": ("--embedding_size", "8", "--rnn_hidden_size", "4"),
}


def test_a_pretraining_run_does_too(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "encoder").mkdir()
    encoder = save_tiny_encoder(tmp_path / "encoder")
    corpus = write_documents(tmp_path / "corpus.txt", documents(20) * 2)
    folders = ("--output_dir", tmp_path / "out", "--cache_dir", tmp_path / "cache")
    flags = ("--model_name_or_path", encoder, "--train_file", corpus, "--document_boundary", "empty_line")
    flags += ("--validation_split_percentage", "0")
    run_main(*flags, *FEW, *folders, script="run_continue_pretrain.py")
    report = read_json(tmp_path / "out" / "data_report.json")
    (repeated,) = (finding for finding in report["findings"] if finding["check"] == "repeated_rows")
    assert repeated["count"] >= 20  # a short document may repeat by itself
    assert repeated["what"] in caplog.text
    assert report["splits"]["train"]["rows"] == 40


@pytest.mark.parametrize("script", SMALL)
def test_a_run_leaves_a_report_of_its_data(script, tmp_path, caplog):
    caplog.set_level("INFO")
    train = {
        "run_classification.py": lambda: write_csv(tmp_path / "train.csv", review_rows(240)),
        "run_ner.py": lambda: write_columns(tmp_path / "train.conll", english(240)),
    }[script]()
    folders = ("--output_dir", tmp_path / "out", "--cache_dir", tmp_path / "cache")
    run_main("--train_file", train, *FEW, *SMALL[script], *folders, script=script)
    report = read_json(tmp_path / "out" / "data_report.json")
    found = {finding["check"]: finding for finding in report["findings"]}
    repeated = found["repeated_rows"]
    assert repeated["count"] > 20
    assert repeated["source"] == train
    assert repeated["what"] in caplog.text
    assert report["splits"]["train"]["rows"] > 100
