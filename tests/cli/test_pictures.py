"""Pictures never fail a run: without matplotlib there is one line, and so there is for a picture that breaks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hf_ext.cli import pictures
from hf_ext.cli.pictures import Pictures
from hf_ext.evaluation.label_reports import JudgedRows
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, LabelSchema

LOG = [{"step": 1, "loss": 2.0, "learning_rate": 0.1}, {"step": 2, "loss": 1.0, "learning_rate": 0.0}]


@pytest.fixture
def trainer():
    state = SimpleNamespace(log_history=LOG, global_step=2)
    return SimpleNamespace(state=state, callback_handler=SimpleNamespace(callbacks=[]))


def judged(problem_type=SINGLE_LABEL, names=("差评", "好评")):
    targets, chances = np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]])
    if problem_type == REGRESSION:
        return JudgedRows(LabelSchema(REGRESSION), targets, targets, None, ids="ab", texts="ab")
    if problem_type == MULTI_LABEL:
        flags = np.array([[1, 0], [0, 1]])
        return JudgedRows(LabelSchema(MULTI_LABEL, names), flags, flags, chances, ids="ab", texts="ab")
    return JudgedRows(LabelSchema(problem_type, names), targets, chances.argmax(1), chances, ids="ab", texts="ab")


def test_without_matplotlib_there_is_one_line(trainer, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(pictures, "has_matplotlib", lambda: False)
    drawn = Pictures(trainer, tmp_path)
    drawn.draw_training(["f1"])
    drawn.draw_perplexity("loss")
    drawn.draw_answers(judged())
    assert [record.message for record in caplog.records] == [
        "No pictures without matplotlib: pip install hf_ext[plots] brings it."
    ]
    assert not drawn.files
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("problem_type", "files"),
    [
        (SINGLE_LABEL, {"confusion_matrix.png", "calibration.png"}),
        (MULTI_LABEL, {"calibration.png"}),
        (REGRESSION, set()),
    ],
)
def test_each_kind_of_answer_has_its_pictures(problem_type, files, trainer, tmp_path):
    pytest.importorskip("matplotlib")
    drawn = Pictures(trainer, tmp_path)
    drawn.draw_answers(judged(problem_type))
    assert {path.name for path in tmp_path.iterdir()} == set(drawn.files) == files


def test_a_picture_that_breaks_is_a_line_and_the_others_are_drawn(trainer, tmp_path, monkeypatch, caplog):
    pytest.importorskip("matplotlib")

    def break_down(*_):
        raise RuntimeError("no such font")

    monkeypatch.setattr("hf_ext.report.confusion_matrix.draw_confusion_matrix", break_down)
    drawn = Pictures(trainer, tmp_path)
    drawn.draw_answers(judged())
    assert set(drawn.files) == {"calibration.png"}
    assert "confusion_matrix.png could not be drawn (RuntimeError: no such font)." in caplog.text


def test_letters_without_a_font_are_told_with_the_package_that_has_one(trainer, tmp_path, monkeypatch, caplog):
    pytest.importorskip("matplotlib")
    caplog.set_level("INFO")
    monkeypatch.setattr("hf_ext.report.fonts._installed_fonts", lambda: ())
    Pictures(trainer, tmp_path).draw_answers(judged())
    assert "labels are numbered in confusion_matrix.png; install fonts-noto-cjk" in caplog.text


def test_a_run_that_has_not_trained_has_no_curves(trainer, tmp_path):
    trainer.state.log_history = [{"step": 0, "eval_loss": 1.0}]
    drawn = Pictures(trainer, tmp_path)
    drawn.draw_training(["f1"])
    drawn.draw_perplexity("loss")
    assert not drawn.files
