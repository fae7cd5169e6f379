"""A disk that is full: told before training, and while saving the previous checkpoint survives."""

from __future__ import annotations

import collections
import errno
import resource

import pytest
from checkpoint_runs import build_trainer, checkpoint_names, same_weights, train
from forked_runs import in_child
from safetensors import SafetensorError
from transformers import TrainerCallback

from hf_ext.errors import UserError
from hf_ext.training.checkpoints import disk
from hf_ext.training.checkpoints.disk import check_space, expected_bytes, explain_no_room
from hf_ext.training.checkpoints.manifest import verify

FULL = 2


class FullAfter(TrainerCallback):
    """Let no file grow beyond so many bytes once the first checkpoint is written."""

    def __init__(self, size: int) -> None:
        self.size = size

    def on_save(self, args, state, control, **kwargs):
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.RLIM_INFINITY))


def size_of(folder, name):
    return (folder / name).stat().st_size


@pytest.mark.promise("full disks")
@pytest.mark.slow
@pytest.mark.parametrize("first_to_fail", ["model.safetensors", "optimizer.pt"])
def test_the_unfinished_checkpoint_goes_and_the_previous_one_is_resumed_bitwise(first_to_fail, tmp_path):
    train(tmp_path / "whole")
    weights = size_of(tmp_path / "whole" / "checkpoint-8", "model.safetensors")
    said = tmp_path / "said"

    def fill_the_disk():
        limit = weights // 2 if first_to_fail == "model.safetensors" else weights + 1000
        try:
            train(tmp_path / "full", callbacks=[FullAfter(limit)])
        except UserError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            said.write_text(str(error))
            raise SystemExit(FULL) from error

    assert in_child(fill_the_disk) == FULL
    line = said.read_text()
    assert "checkpoint-4: cannot be written" in line
    assert "make room" in line
    assert "\n" not in line
    assert checkpoint_names(tmp_path / "full") == ["checkpoint-2"]
    verify(tmp_path / "full" / "checkpoint-2")
    train(tmp_path / "full", resume="last")
    assert same_weights(tmp_path / "full", tmp_path / "whole")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), "File too large"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), "takes no more"),
        (RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"), "takes no more"),
    ],
)
def test_each_library_s_error_is_one_line(error, reason, tmp_path):
    answer = explain_no_room(error, tmp_path)
    assert reason in str(answer)
    assert "\n" not in str(answer)


@pytest.mark.parametrize("error", [RuntimeError("shapes"), OSError(errno.ENOENT, "gone"), KeyboardInterrupt()])
def test_other_errors_are_left_alone(error, tmp_path):
    assert explain_no_room(error, tmp_path) is None


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}, {"save_only_model": True}])
def test_the_expected_size_is_about_that_of_two_checkpoints(changes, tmp_path):
    trainer = build_trainer(tmp_path, max_steps=2, **changes)
    trainer.train()
    tensors = ("model.safetensors", "ema.safetensors", "optimizer.pt")
    found = [path.stat().st_size for path in (tmp_path / "checkpoint-2").iterdir() if path.name in tensors]
    small = 60_000  # names, headers and buffers, which weigh much beside tensors of this size
    assert expected_bytes(trainer.model, trainer.args) == pytest.approx(2 * sum(found), abs=2 * small)


def test_too_little_room_is_said_before_training(tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    trainer = build_trainer(tmp_path)
    needed = expected_bytes(trainer.model, trainer.args)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: usage(0, 0, needed))
    check_space(trainer)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: usage(0, 0, needed - 1))
    with pytest.raises(UserError, match=r"MiB free, and this run needs .* MiB.*--save_only_model"):
        trainer.train()
    assert checkpoint_names(tmp_path) == []


def test_a_run_without_checkpoints_needs_room_for_its_model_only(tmp_path):
    saving, not_saving = build_trainer(tmp_path), build_trainer(tmp_path, save_strategy="no")
    weights = sum(p.numel() * 4 for p in saving.model.parameters())
    assert expected_bytes(not_saving.model, not_saving.args) == pytest.approx(weights, rel=0.2)
    assert expected_bytes(saving.model, saving.args) > 5 * weights
