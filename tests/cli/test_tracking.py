"""A picture reaches every tracker of the run through transformers' own callbacks, and no tracker breaks the run."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from transformers.integrations import MLflowCallback, TensorBoardCallback, WandbCallback, integration_utils

from hf_ext.cli.tracking import send_picture

PICTURE = np.zeros((4, 6, 3), dtype=np.uint8)
LIBRARIES = {WandbCallback: "wandb", MLflowCallback: "mlflow"}


@pytest.fixture
def callback_of(monkeypatch):
    """Make a callback of transformers on a stub of its library, which has begun a run."""

    def make(kind):
        library = LIBRARIES[kind]
        stub = MagicMock(name=library)
        monkeypatch.setitem(sys.modules, library, stub)
        monkeypatch.setattr(integration_utils, f"is_{library}_available", lambda: True)
        callback = kind()
        monkeypatch.setattr(kind, "__del__", lambda self: None, raising=False)
        callback._initialized = True
        return callback, stub

    return make


def trainer_with(*callbacks):
    state = SimpleNamespace(global_step=7)
    return SimpleNamespace(state=state, callback_handler=SimpleNamespace(callbacks=list(callbacks)))


def test_wandb_logs_an_image_at_the_step(callback_of, tmp_path):
    callback, wandb = callback_of(WandbCallback)
    send_picture(trainer_with(callback), "confusion_matrix", PICTURE, file=tmp_path / "confusion_matrix.png")
    (said,) = wandb.log.call_args.args
    assert said == {"confusion_matrix": wandb.Image.return_value, "train/global_step": 7}
    assert wandb.Image.call_args.args[0] is PICTURE


def test_mlflow_keeps_the_file_in_the_run_of_the_callback(callback_of, tmp_path):
    callback, mlflow = callback_of(MLflowCallback)
    mlflow.last_active_run.return_value.info.run_id = "a1"
    send_picture(trainer_with(callback), "confusion_matrix", PICTURE, file=tmp_path / "confusion_matrix.png")
    mlflow.log_artifact.assert_called_once_with(str(tmp_path / "confusion_matrix.png"), run_id="a1")


@pytest.mark.parametrize("kind", LIBRARIES)
def test_where_no_run_has_begun_nothing_is_sent(kind, callback_of, tmp_path):
    callback, library = callback_of(kind)
    callback._initialized = False
    send_picture(trainer_with(callback), "confusion_matrix", PICTURE, file=tmp_path / "confusion_matrix.png")
    assert not library.log.called
    assert not library.log_artifact.called


def test_a_tracker_that_refuses_is_one_line_and_the_others_are_served(callback_of, tmp_path, caplog):
    broken, wandb = callback_of(WandbCallback)
    wandb.log.side_effect = ConnectionError("no\nroute")
    whole, mlflow = callback_of(MLflowCallback)
    send_picture(trainer_with(broken, whole), "confusion_matrix", PICTURE, file=tmp_path / "confusion_matrix.png")
    assert [record.message for record in caplog.records] == [
        "confusion_matrix.png was not sent by WandbCallback (no route)."
    ]
    assert mlflow.log_artifact.called


@pytest.mark.parametrize("named", [True, False])
def test_tensorboard_gets_it_beside_its_logs(named, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callback = TensorBoardCallback()
    callback.logging_dir = str(tmp_path / "logs") if named else None
    send_picture(trainer_with(callback), "confusion_matrix", PICTURE, file=tmp_path / "confusion_matrix.png")
    (events,) = (tmp_path / ("logs" if named else "runs")).glob("events.*")
    (image,) = EventAccumulator(str(events)).Reload().Images("confusion_matrix")
    assert (image.step, image.width, image.height) == (7, 6, 4)
