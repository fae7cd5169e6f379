"""Thresholds and temperature are fitted once, kept in config.json, and applied wherever the model answers."""

from __future__ import annotations

import json

import pytest
from reviews import review_rows
from scripts.support import TRAIN, read_json, run_main

from hf_ext.errors import UserError
from hf_ext.inference import Predictor

FLAGS = ("--tune_thresholds", "f1", "--calibrate", "temperature")


def write_rows(path, count: int, offset: int = 0):
    rows = [
        {"text": row["text"], "labels": [row["label"], *(["book"] if "book" in row["text"] else [])]}
        for row in review_rows(count, offset=offset)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choosing")
    files = (
        "--train_file",
        write_rows(folder / "a.jsonl", 60),
        "--validation_file",
        write_rows(folder / "b.jsonl", 40),
    )
    files += ("--test_file", write_rows(folder / "c.jsonl", 20, 300), "--output_dir", folder / "out")
    sizes = ("--model_type", "textcnn", "--embedding_size", "8", "--filter_num", "4", "--filter_sizes", "2")
    results = run_main(*TRAIN, *files, *sizes, "--num_train_epochs", "2", *FLAGS, "--cache_dir", folder / "cache")
    return folder, results


def predictions(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_rule_is_saved_and_applied(trained):
    folder, results = trained
    rule = read_json(folder / "out" / "config.json")["decision_rule"]
    assert rule["temperature"] == results["eval"]["eval_temperature"] != 1
    assert results["eval"]["eval_nll"] < results["eval"]["eval_nll_before"]
    names = read_json(folder / "out" / "config.json")["id2label"]
    thresholds = {names[str(i)]: value for i, value in enumerate(rule["thresholds"])}
    assert set(thresholds.values()) != {0.5}
    for row in predictions(folder / "out"):
        sure = {name for name, chance in row["probabilities"].items() if chance > thresholds[name] + 1e-3}
        possible = {name for name, chance in row["probabilities"].items() if chance > thresholds[name] - 1e-3}
        assert sure <= set(row["prediction"]) <= possible


def test_a_saved_model_answers_by_its_rule_everywhere(trained):
    folder, results = trained
    files = ("--validation_file", folder / "b.jsonl", "--test_file", folder / "c.jsonl", "--do_eval", "--do_predict")
    quiet = ("--use_cpu", "--disable_tqdm", "true", "--write_report", "false", "--cache_dir", folder / "cache")
    later = folder / "later"
    again = run_main("--model_name_or_path", folder / "out", *files, *quiet, "--output_dir", later)
    assert [row["prediction"] for row in predictions(later)] == [
        row["prediction"] for row in predictions(folder / "out")
    ]
    assert again["eval"]["eval_f1_macro"] == pytest.approx(results["eval"]["eval_f1_macro"], abs=1e-12)
    texts = [json.loads(line)["text"] for line in (folder / "c.jsonl").read_text(encoding="utf-8").splitlines()]
    answers = Predictor.from_pretrained(folder / "out")(texts)
    assert [row["prediction"] for row in answers] == [row["prediction"] for row in predictions(later)]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--tune_thresholds", "f1", "--do_train"), "looks at the validation rows: add --do_eval"),
        (("--tune_thresholds", "f1", "--do_train", "--do_eval"), "here are 3, of which one holds"),
        (("--calibrate", "temperature", "--do_train", "--do_eval", "--task", "regression"), "has no probability"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(flags, words, tmp_path):
    rows = [{"text": f"text {i}", "label": str(i % 3)} for i in range(12)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = ("--train_file", path, "--validation_file", path, "--output_dir", tmp_path / "out")
    with pytest.raises(UserError, match=words) as caught:
        run_main(*files, *flags, "--use_cpu")
    assert "\n" not in str(caught.value)
