"""What transformers raises for a mistake in the flags, answered as the user's mistake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hf_ext.errors import UserError
from hf_ext.training.checkpoints.disk import FIX as NO_ROOM_FIX
from hf_ext.training.checkpoints.disk import NO_ROOM


@contextmanager
def blame_flags() -> Iterator[None]:
    """Answer what fails while a trainer is put together: nothing but flags and the Hub decides it.

    Raises:
        UserError: For a package that is not installed, an unknown tracker, a Hub that cannot be reached, …
    """
    try:
        yield
    except UserError:
        raise
    except (ValueError, ImportError, RuntimeError, OSError) as error:
        raise UserError(one_line(error), where="arguments", fix="correct or leave out the flag") from error


@contextmanager
def blame_run() -> Iterator[None]:
    """Answer what fails while a model runs although the code is right; anything else passes.

    Raises:
        UserError: For a checkpoint of another model, a metric that does not exist, a missing package, too little
            memory, a disk that is full.
    """
    try:
        yield
    except UserError:
        raise
    except torch.OutOfMemoryError as error:
        fix = "lower --per_device_train_batch_size (and raise --gradient_accumulation_steps) or --max_seq_length"
        raise UserError(one_line(error), fix=fix) from error
    except (RuntimeError, KeyError, ValueError, ImportError, OSError) as error:
        answer = _answer(error)
        if answer is None:
            raise
        raise answer from error


def one_line(error: Exception) -> str:
    """Give the first line of what an exception says, or its name."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return (text.strip() or type(error).__name__).splitlines()[0].rstrip(":")


def _answer(error: Exception) -> UserError | None:
    text = str(error)
    if isinstance(error, RuntimeError) and "loading state_dict" in text:
        first = next((line.strip() for line in text.splitlines() if "size mismatch" in line), one_line(error))
        return UserError(
            f"the checkpoint is of another model ({first.rstrip('.')})",
            fix="resume with the data and the model flags of the run that saved it, or name another --output_dir",
        )
    if isinstance(error, KeyError) and "metric_for_best_model" in text:
        return UserError(one_line(error).replace("`", "'"), fix="choose another --metric_for_best_model")
    if isinstance(error, ValueError) and "lr_scheduler_kwargs" in text:
        return UserError(one_line(error).replace("`", "'"), fix="pass --lr_scheduler_kwargs as JSON")
    if isinstance(error, ImportError):
        return UserError(one_line(error), fix="install it, or leave out the flag that asks for it")
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return UserError(f"{error.strerror}", where=error.filename, fix=NO_ROOM_FIX)
    return None
