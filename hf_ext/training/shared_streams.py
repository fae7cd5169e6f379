"""Streams on several processes: a training stream is read by each of them, one to evaluate is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.data import IterableDataset
from transformers import TrainingArguments

from hf_ext.errors import UserError


def read_stream_in_every_process(args: TrainingArguments, dataset: Any) -> None:
    """Let every process read a training stream and take its share of the batches.

    Left to itself, accelerate lets the main process read, join the batches of all processes and send each its part.
    Batches that are padded to different lengths cannot be joined: the main process would fail while the others wait.

    Args:
        args: Whose ``accelerator_config`` is changed, unless it says itself who reads.
        dataset: The training rows, a stream or not.
    """
    config: Any = args.accelerator_config
    if isinstance(dataset, IterableDataset) and config.dispatch_batches is None:
        config.dispatch_batches = False


def check_evaluated_rows(dataset: Any, *, processes: int) -> None:
    """Refuse to evaluate a stream on several processes, which would count rows twice or wait for one another for ever.

    Args:
        dataset: The rows to evaluate or to predict, or several sets of them by name.
        processes: How many processes share them.

    Raises:
        UserError: If one of them is a stream and there are several processes.
    """
    if processes == 1:
        return
    for rows in dataset.values() if isinstance(dataset, Mapping) else (dataset,):
        if isinstance(rows, IterableDataset):
            raise UserError(
                f"{processes} processes cannot evaluate a stream: nobody knows where its last rows are",
                fix="evaluate rows that have a number, e.g. datasets.Dataset.from_list(list(rows)), or in one process",
            )
