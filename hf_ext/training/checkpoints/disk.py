"""Room on the disk: looked for before a training, and one line when it has run out."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from hf_ext.errors import UserError
from hf_ext.training.averages.averaging import is_peft

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
FIX = "make room, or name another --output_dir"
MOMENTS_PER_WEIGHT = 2  # AdamW keeps two numbers of 4 bytes beside each weight that it trains
CHECKPOINTS_AT_A_TIME = 2  # the last one goes when the next one is whole


def check_space(trainer: Trainer) -> None:
    """Refuse to begin where two checkpoints, or the model alone if none are saved, do not fit on the disk.

    Raises:
        UserError: With both figures.
    """
    folder = Path(trainer.args.output_dir or ".")
    needed, free = expected_bytes(trainer.model, trainer.args), shutil.disk_usage(_existing(folder)).free
    if free < needed:
        raise UserError(
            f"there are {_megabytes(free)} free, and this run needs {_megabytes(needed)} for its model and checkpoints",
            where=str(folder),
            fix=f"{FIX} (--save_only_model or --save_strategy no need less)",
        )


def expected_bytes(model: Any, args: TrainingArguments) -> int:
    """Estimate what a run holds on the disk at once: the model, or two checkpoints with their optimizer states."""
    learns = [weight for weight in model.parameters() if weight.requires_grad]
    written = learns if is_peft(model) else [*model.parameters(), *model.buffers()]
    whole = sum(tensor.numel() * tensor.element_size() for tensor in written)
    if args.save_strategy == SaveStrategy.NO:
        return whole
    trained = sum(weight.numel() for weight in learns)
    average = 4 * trained if getattr(args, "ema_decay", None) is not None else 0
    state = 0 if args.save_only_model else 4 * MOMENTS_PER_WEIGHT * trained + average
    return CHECKPOINTS_AT_A_TIME * (whole + state)


def explain_no_room(error: BaseException, folder: Path) -> UserError | None:
    """Give one line for an error of a disk that takes no more, whichever library raises it; None for any other."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        reason = str(error.strerror)
    elif isinstance(error, SafetensorError) and "os error" in str(error):
        reason = str(error).partition("I/O error: ")[2].partition(" (os error")[0] or "the disk takes no more"
    elif isinstance(error, RuntimeError) and ("inline_container" in str(error) or "PytorchStreamWriter" in str(error)):
        reason = "the disk takes no more"
    else:
        return None
    return UserError(f"cannot be written: {reason}", where=str(folder), fix=FIX)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
