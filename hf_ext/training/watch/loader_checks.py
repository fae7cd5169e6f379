"""A training that would see no row is refused before it begins."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader
from transformers import TrainingArguments
from transformers.trainer_utils import has_length

from hf_ext.errors import UserError


def check_has_rows(dataset: Any) -> None:
    """Refuse a training set without rows.

    Raises:
        UserError: If its length is known and 0.
    """
    if has_length(dataset) and len(dataset) == 0:
        raise UserError("there are no training rows", fix="check the training file and what is filtered out of it")


def check_has_batches(loader: DataLoader, dataset: Any, args: TrainingArguments) -> None:
    """Refuse a loader without a batch, which ``dataloader_drop_last`` makes of few rows.

    Raises:
        UserError: If its length is known and 0.
    """
    if not has_length(loader) or len(loader) > 0:
        return
    rows = f"{len(dataset)} training rows" if has_length(dataset) else "the training rows"
    batch = args.train_batch_size * args.world_size
    if args.dataloader_drop_last:
        raise UserError(
            f"{rows} do not fill one batch of {batch}, and --dataloader_drop_last drops the rest",
            fix="lower --per_device_train_batch_size, or leave out --dataloader_drop_last",
        )
    raise UserError(f"{rows} give no batch", fix="check the sampler of the training data")
