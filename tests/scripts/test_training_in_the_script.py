"""What the script says and leaves while it trains: bad rows by line, the log file, all checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reviews import review_rows
from scripts.support import TRAIN, fork_script, read_json, run_main, write_csv
from transformers import AutoModelForSequenceClassification

import hf_ext.models  # noqa: F401 (registers the classes that are loaded below)
from hf_ext.errors import UserError

SCRATCH = ("--model_type", "textcnn", "--embedding_size", "16", "--filter_num", "8", "--filter_sizes", "2,3")


def files(folder: Path, rows: list[dict[str, str]]) -> list[str]:
    train = write_csv(folder / "train.csv", rows)
    dev = write_csv(folder / "dev.csv", review_rows(30, offset=500))
    return ["--train_file", train, "--validation_file", dev, "--cache_dir", str(folder / "cache")]


def numbered(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Make it a regression."""
    return [{**row, "label": f"{i % 5}.5"} for i, row in enumerate(rows)]


@pytest.fixture
def extreme(tmp_path) -> list[str]:
    """Flags of a regression on 40 rows, of which the one in line 18 has a value that no float32 square can hold."""
    rows = numbered(review_rows(40))
    rows[16]["label"] = "1e30"
    dev = write_csv(tmp_path / "dev.csv", numbered(review_rows(10, offset=500)))
    train = write_csv(tmp_path / "train.csv", rows)
    return ["--train_file", train, "--validation_file", dev, "--cache_dir", str(tmp_path / "cache"), "--do_regression"]


def test_a_nonfinite_loss_names_file_and_line(extreme, tmp_path):
    with pytest.raises(UserError) as caught:
        run_main(
            *extreme, "--do_train", "--use_cpu", "--disable_tqdm", "true", "--output_dir", tmp_path / "out", *SCRATCH
        )
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'train.csv'}:18: the training loss is ")
    assert "bad by themselves: 16" in message
    assert "\n" not in message


@pytest.mark.slow
def test_two_processes_say_it_once(extreme, tmp_path):
    done = fork_script(*extreme, "--do_train", "--use_cpu", "--output_dir", "out", *SCRATCH, cwd=tmp_path, processes=2)
    said = [line for line in done.stderr.splitlines() if "hf_ext: error:" in line]
    assert len(said) == 1, done.stderr
    assert "train.csv:18: the training loss is " in said[0]


def test_the_log_file_holds_the_run_and_no_bar_is_drawn_without_a_terminal(tmp_path, capsys):
    flags = (
        *SCRATCH,
        "--max_steps",
        "6",
        "--logging_steps",
        "2",
        "--disable_tqdm",
        "false",
        "--output_dir",
        tmp_path / "out",
    )
    run_main(*files(tmp_path, review_rows(60)), "--do_train", "--do_eval", "--use_cpu", *flags)
    lines = [json.loads(line) for line in (tmp_path / "out" / "train_log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 6, 6]
    assert "eval_f1_weighted" in lines[-1]
    assert "it/s]" not in capsys.readouterr().err


def test_all_checkpoints_are_a_table_and_the_final_weights_come_back(tmp_path, capsys):
    flags = ("--save_strategy", "steps", "--save_steps", "3", "--max_steps", "9", "--eval_all_checkpoints")
    flags = (*TRAIN[:2], "--use_cpu", "--disable_tqdm", "true", *SCRATCH, "--learning_rate", "1e-2", *flags)
    out = tmp_path / "out"
    run_main(*files(tmp_path, review_rows(60)), *flags, "--output_dir", out)
    scores = read_json(out / "eval_all_checkpoints.json")
    assert list(scores) == ["checkpoint-3", "checkpoint-6", "checkpoint-9"]
    final = read_json(out / "eval_results.json")
    assert scores["checkpoint-9"]["eval_loss"] == pytest.approx(final["eval_loss"], rel=1e-6)
    assert scores["checkpoint-3"]["eval_loss"] > scores["checkpoint-9"]["eval_loss"]
    printed = capsys.readouterr().out.splitlines()
    header = next(line.split() for line in printed if line.startswith("checkpoint "))
    assert {"loss", "accuracy", "f1_weighted"} <= set(header)
    assert not {"runtime", "epoch"} & set(header)
    for name, metrics in scores.items():
        cells = next(line.split() for line in printed if line.startswith(name + " "))
        assert float(cells[header.index("loss")]) == pytest.approx(metrics["eval_loss"], abs=1e-4)
    last = [
        AutoModelForSequenceClassification.from_pretrained(path).state_dict() for path in (out, out / "checkpoint-9")
    ]
    assert all((last[0][name] == last[1][name]).all() for name in last[0])
    logged = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged if "eval_loss" in line] == [9, 3, 6, 9]


def test_a_failing_evaluation_puts_the_final_weights_back(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from transformers import Trainer

    from hf_ext.cli.outcome import Outcome

    flags = ("--save_strategy", "steps", "--save_steps", "3", "--max_steps", "6", "--output_dir", tmp_path / "out")
    seen = {}

    def evaluate(trainer, **kwargs):
        seen["weights"] = {k: v.clone() for k, v in trainer.model.state_dict().items()}
        raise RuntimeError("no room")

    def record(self, trainer, data):
        final = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        step = trainer.state.global_step
        monkeypatch.setattr(Trainer, "evaluate", evaluate)
        with pytest.raises(RuntimeError, match="no room"):
            self._evaluate_checkpoints(trainer)
        now = trainer.model.state_dict()
        assert all((now[name] == tensor).all() for name, tensor in final.items())
        assert any((seen["weights"][name] != tensor).any() for name, tensor in final.items())
        assert trainer.state.global_step == step

    monkeypatch.setattr(Outcome, "evaluate", record)
    monkeypatch.setattr(Outcome, "finish", lambda *args: SimpleNamespace())
    run_main(*files(tmp_path, review_rows(60)), *TRAIN[:2], "--use_cpu", "--disable_tqdm", "true", *SCRATCH, *flags)


def test_asking_for_checkpoints_that_nobody_saved_is_said(tmp_path, caplog):
    flags = (*TRAIN[:2], "--use_cpu", "--disable_tqdm", "true", *SCRATCH, "--save_strategy", "no", "--max_steps", "2")
    run_main(*files(tmp_path, review_rows(60)), *flags, "--eval_all_checkpoints", "--output_dir", tmp_path / "out")
    assert "there is no checkpoint in" in caplog.text
