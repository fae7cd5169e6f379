"""``run_classification.py --num_folds``: each fold is an ordinary run; out of fold, together, and resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from reviews import review_rows
from scripts.support import fork_script, read_csv, read_json, run_main, write_csv

from hf_ext.cli.commands import train_classification
from hf_ext.errors import UserError
from hf_ext.inference import Predictor
from hf_ext.training.trainer import ExtTrainer

SIZES = ("--model_type", "textcnn", "--embedding_size", "8", "--filter_num", "4", "--filter_sizes", "2", "--seed", "3")
TRAIN = (
    "--do_train",
    "--do_eval",
    "--use_cpu",
    "--disable_tqdm",
    "true",
    "--write_report",
    "false",
    "--report_to",
    "none",
)
TRAIN += (*SIZES, "--num_train_epochs", "2", "--save_strategy", "epoch", "--learning_rate", "0.02")


def rows_with_ids(count: int, *, offset: int = 0) -> list[dict[str, str]]:
    """Reviews of which some stand there twice."""
    rows = review_rows(count, offset=offset)
    return [{**row, "text": f"{row['text']} {i // 2 if i % 5 == 0 else i}"} for i, row in enumerate(rows)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    columns = ["id", "text", "label"]
    train = write_csv(folder / "train.csv", rows_with_ids(61), columns)
    test = write_csv(folder / "test.csv", rows_with_ids(15, offset=400), columns)
    return folder, ("--train_file", train, "--test_file", test, "--cache_dir", folder / "cache")


@pytest.fixture(scope="module")
def trained(files):
    folder, flags = files
    out = folder / "out"
    results = run_main(
        *TRAIN, *flags, "--do_predict", "--num_folds", "3", "--id_column_name", "id", "--output_dir", out
    )
    return out, results


def held_out(fold) -> list[int]:
    return read_json(fold / "split_indices.json")["validation"]


def probabilities(path) -> dict[str, list[float]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["id"]: list(row["probabilities"].values()) for row in rows}


def weights(fold) -> bytes:
    return (fold / "model.safetensors").read_bytes()


def test_the_folds_are_a_partition_and_no_text_is_in_two(trained, files):
    rows = read_csv(files[0] / "train.csv")
    folds = [held_out(trained[0] / f"fold-{k}") for k in (1, 2, 3)]
    assert sorted(row for fold in folds for row in fold) == list(range(61))
    texts = [{rows[row]["text"] for row in fold} for fold in folds]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
    counts = [sum(rows[row]["label"] == "good" for row in fold) for fold in folds]
    assert max(counts) - min(counts) <= 2


def test_a_fold_is_an_ordinary_run_on_the_same_split(trained, files, tmp_path):
    fold, (_, flags) = trained[0] / "fold-2", files
    again = run_main(*TRAIN, *flags, "--split_indices", fold / "split_indices.json", "--output_dir", tmp_path / "alone")
    assert weights(tmp_path / "alone") == weights(fold)
    assert again["eval"]["eval_f1_macro"] == read_json(fold / "eval_results.json")["eval_f1_macro"]
    assert again["eval"]["eval_f1_macro"] == pytest.approx(read_csv_figures(trained[0], fold=2), abs=1e-12)
    rows = read_csv(files[0] / "train.csv")
    own = held_out(fold)
    answers = Predictor.from_pretrained(str(tmp_path / "alone"))([rows[row]["text"] for row in own])
    found = probabilities(trained[0] / "out_of_fold_predictions.jsonl")
    for row, answer in zip(own, answers, strict=True):
        assert found[rows[row]["id"]] == pytest.approx(list(answer["probabilities"].values()), abs=1e-6)


def read_csv_figures(folder, *, fold: int) -> float:
    """Macro F1 of one fold, from the out-of-fold file."""
    from sklearn.metrics import f1_score

    gold = {row["id"]: row["label"] for row in rows_with_ids(61)}
    rows = [row for row in read_csv(folder / "out_of_fold_predictions.csv") if row["fold"] == str(fold)]
    return f1_score([gold[row["id"]] for row in rows], [row["prediction"] for row in rows], average="macro")


def test_out_of_fold_predictions_are_in_input_order_with_mean_and_deviation(trained):
    out, results = trained
    rows = read_csv(out / "out_of_fold_predictions.csv")
    assert [row["id"] for row in rows] == [f"r{i}" for i in range(61)]
    single = [read_csv_figures(out, fold=k) for k in (1, 2, 3)]
    figures = results["eval"]
    assert figures["eval_f1_macro_mean"] == pytest.approx(np.mean(single))
    assert figures["eval_f1_macro_std"] == pytest.approx(np.std(single, ddof=1))
    stored = read_json(out / "all_results.json")
    assert {name: stored[name] for name in figures} == figures
    assert stored["eval_samples"] == 61
    assert {"run.json", "README.md", "label_report.csv"} <= {path.name for path in out.iterdir()}


def test_the_ensemble_is_the_mean_of_the_folds(trained, files):
    out, _ = trained
    texts = [row["text"] for row in read_csv(files[0] / "test.csv")]
    each = [Predictor.from_pretrained(str(out / f"fold-{k}"))(texts) for k in (1, 2, 3)]
    expected = np.mean([[list(row["probabilities"].values()) for row in fold] for fold in each], axis=0)
    found = probabilities(out / "predictions.jsonl")
    np.testing.assert_allclose([found[f"r{400 + i}"] for i in range(15)], expected, atol=1e-9)
    together = Predictor.from_pretrained(str(out))(texts)
    np.testing.assert_allclose([list(row["probabilities"].values()) for row in together], expected, atol=1e-9)


def test_a_folder_of_folds_predicts_and_does_nothing_else(trained, files, tmp_path):
    quiet = ("--use_cpu", "--write_report", "false", "--id_column_name", "id", "--output_dir", tmp_path / "later")
    run_main("--model_name_or_path", trained[0], "--do_predict", *files[1][2:], *quiet)
    assert probabilities(tmp_path / "later" / "predictions.jsonl") == probabilities(trained[0] / "predictions.jsonl")
    with pytest.raises(UserError, match="answers test rows only"):
        run_main("--model_name_or_path", trained[0], "--do_train", *files[1], *quiet)


def test_a_run_killed_in_its_third_fold_goes_on_bitwise(trained, files, tmp_path, monkeypatch, caplog):
    """The second fold has ended; the third one dies behind its first checkpoint."""
    flags = (*TRAIN, *files[1], "--num_folds", "3", "--id_column_name", "id", "--output_dir", tmp_path / "out")
    whole, save = train_classification.main, ExtTrainer._save_checkpoint

    def dies(self, *given):
        save(self, *given)
        if self.args.output_dir.endswith("fold-3"):
            raise KeyboardInterrupt

    monkeypatch.setattr(ExtTrainer, "_save_checkpoint", dies)
    with pytest.raises(KeyboardInterrupt):
        whole(list(map(str, flags)))
    monkeypatch.undo()
    unfinished = tmp_path / "out" / "fold-3"
    assert len(list(unfinished.glob("checkpoint-*"))) == 1
    with pytest.raises(UserError, match="fold-3: this fold is not trained yet"):
        Predictor.from_pretrained(str(tmp_path / "out"))
    written = (tmp_path / "out" / "fold-2" / "model.safetensors").stat().st_mtime_ns
    caplog.set_level("INFO")
    results = run_main(*flags, "--resume_from_checkpoint", "last")
    assert "Fold 2 of 3 is trained already" in caplog.text
    assert (tmp_path / "out" / "fold-2" / "model.safetensors").stat().st_mtime_ns == written
    assert [path.stem for path in sorted(unfinished.glob("checkpoint-*"))] == [
        path.stem for path in sorted((trained[0] / "fold-3").glob("checkpoint-*"))
    ]
    for fold in ("fold-1", "fold-2", "fold-3"):
        assert weights(tmp_path / "out" / fold) == weights(trained[0] / fold)
    same = ("out_of_fold_predictions.csv", "out_of_fold_predictions.jsonl", "eval_results.json")
    for name in same:
        assert (tmp_path / "out" / name).read_bytes() == (trained[0] / name).read_bytes()
    assert results["eval"] == trained[1]["eval"]


def test_one_rule_is_fitted_on_the_out_of_fold_answers(files, tmp_path):
    flags = (*TRAIN, *files[1], "--do_predict", "--num_folds", "2", "--num_train_epochs", "1", "--save_strategy", "no")
    fits = ("--calibrate", "temperature", "--tune_thresholds", "f1")
    figures = run_main(*flags, *fits, "--output_dir", tmp_path / "out")["eval"]
    rules = [read_json(tmp_path / "out" / f"fold-{k}" / "config.json")["decision_rule"] for k in (1, 2)]
    assert rules[0] == rules[1]
    assert rules[0]["temperature"] == figures["eval_temperature"] != 1
    assert figures["eval_nll"] < figures["eval_nll_before"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "out_of_fold_predictions.jsonl").open(encoding="utf-8")]
    gold = read_csv(files[0] / "train.csv")
    nll = np.mean([-np.log(row["probabilities"][gold[int(row["id"])]["label"]]) for row in rows])
    assert figures["eval_nll"] == pytest.approx(nll)
    for row in rows:
        assert (row["prediction"] == "good") == (row["probabilities"]["good"] >= rules[0]["thresholds"][0])


def test_validation_rows_of_their_own_are_validated_on_in_every_fold(files, tmp_path):
    dev = write_csv(tmp_path / "dev.csv", rows_with_ids(9, offset=900), ["id", "text", "label"])
    flags = (*TRAIN, *files[1], "--validation_file", dev, "--num_folds", "2", "--num_train_epochs", "1")
    out = tmp_path / "out"
    results = run_main(*flags, "--output_dir", out, "--eval_strategy", "epoch", "--load_best_model_at_end")
    assert results["eval"]["eval_samples"] == 61
    folds = [read_json(out / f"fold-{k}" / "split_indices.json") for k in (1, 2)]
    assert sorted(folds[0]["test"] + folds[1]["test"]) == list(range(61))
    assert [read_json(out / f"fold-{k}" / "eval_results.json")["eval_samples"] for k in (1, 2)] == [9, 9]


@pytest.mark.slow
def test_two_processes_train_and_judge_folds(files, tmp_path):
    flags = [str(word) for word in (*TRAIN, *files[1], "--do_predict", "--num_folds", "2", "--num_train_epochs", "1")]
    done = fork_script(*flags, "--output_dir", str(tmp_path / "out"), cwd=tmp_path, processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all together" in done.stdout
    found = probabilities(tmp_path / "out" / "predictions.jsonl")
    texts = [row["text"] for row in read_csv(files[0] / "test.csv")]
    each = [Predictor.from_pretrained(str(tmp_path / "out" / f"fold-{k}"))(texts) for k in (1, 2)]
    expected = np.mean([[list(row["probabilities"].values()) for row in fold] for fold in each], axis=0)
    np.testing.assert_allclose(list(found.values()), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--num_folds", "1"), "must be at least 2"),
        (("--num_folds", "3", "--validation_split", "0.1"), "both cut the training rows"),
        (("--num_folds", "3", "--push_to_hub"), "is for one model"),
        (("--num_folds", "3", "--tune", "space.yaml"), "exclude each other"),
        (("--num_folds", "3", "--resume_from_checkpoint", "out/fold-1/checkpoint-2"), "is a checkpoint of one fold"),
        (("--num_folds", "3", "--do_train", "false"), "trains a model for each fold"),
        (("--num_folds", "3", "--resume_from_checkpoint", "last"), "no folds to go on with"),
        (("--num_folds", "70"), "no row is left for fold"),
    ],
)
def test_what_does_not_go_with_folds_is_one_line(files, tmp_path, flags, words):
    with pytest.raises(UserError, match=words) as caught:
        run_main(*TRAIN, *files[1], *flags, "--output_dir", tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_folds_are_not_trained_over(trained, files):
    with pytest.raises(UserError, match="already holds 3 folds"):
        run_main(*TRAIN, *files[1], "--num_folds", "3", "--output_dir", trained[0])
    with pytest.raises(UserError, match="these folds were cut with --num_folds 3"):
        run_main(*TRAIN, *files[1], "--num_folds", "4", "--output_dir", trained[0], "--resume_from_checkpoint", "last")
