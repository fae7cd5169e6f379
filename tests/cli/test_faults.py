"""Mistakes that transformers notices are answered like those that we notice."""

from __future__ import annotations

import errno

import pytest
import torch

from hf_ext.cli.faults import blame_flags, blame_run
from hf_ext.errors import UserError


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wanbd is not supported, only wandb is.\nmore"),
        RuntimeError("WandbCallback requires wandb to be installed."),
        ImportError("no package"),
        OSError(errno.EACCES, "Permission denied", "/out"),
        ConnectionError(),
    ],
)
def test_whatever_stops_the_set_up_is_one_line(error):
    with pytest.raises(UserError) as caught, blame_flags():
        raise error
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("block", [blame_flags, blame_run])
def test_a_user_error_passes_as_it_is(block):
    error = UserError("no rows", where="a.csv")
    with pytest.raises(UserError) as caught, block():
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried …"), "--per_device_train_batch_size"),
        (KeyError("The `metric_for_best_model` is 'eval_f2', which is not found"), "another --metric_for_best_model"),
        (ValueError("One of min_lr should be set through the `lr_scheduler_kwargs`"), "--lr_scheduler_kwargs as JSON"),
        (ImportError("You need to install `bitsandbytes`"), "install it"),
        (OSError(errno.ENOSPC, "No space left on device", "/out/model"), "/out/model: No space left on device"),
    ],
)
def test_what_a_user_can_mend_while_training_is_answered(error, words):
    with pytest.raises(UserError, match=words) as caught, blame_run():
        raise error
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_model_shows_the_first_difference():
    with pytest.raises(UserError, match=r"another model.*size mismatch for weight.*resume with the data"), blame_run():
        torch.nn.Linear(2, 3).load_state_dict(torch.nn.Linear(4, 3).state_dict())


@pytest.mark.parametrize("error", [RuntimeError("shapes"), KeyError("labels"), OSError(errno.ENOENT, "gone", "a")])
def test_an_error_of_ours_is_not_blamed_on_the_user(error):
    with pytest.raises(type(error)) as caught, blame_run():
        raise error
    assert caught.value is error
