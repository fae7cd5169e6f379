"""TensorBoard's files lie in the output folder, also of a run that only evaluates."""

from __future__ import annotations

import pytest
from training_models import tiny_bert

from hf_ext.training import ExtTrainer

pytest.importorskip("tensorboard")


def evaluate(arguments, rows):
    args = arguments(report_to=["tensorboard"])
    ExtTrainer(tiny_bert(), args, eval_dataset=rows).evaluate()


def events(folder):
    return [path.parent.parent for path in folder.rglob("events.*")]


def test_an_evaluation_leaves_nothing_in_the_working_directory(arguments, rows, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    evaluate(arguments, rows)
    assert events(tmp_path) == [tmp_path / "out" / "runs"]
    assert not list(elsewhere.iterdir())


def test_a_folder_in_the_environment_is_taken(arguments, rows, tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "mine" / "logs"))
    evaluate(arguments, rows)
    assert events(tmp_path) == [tmp_path / "mine"]
