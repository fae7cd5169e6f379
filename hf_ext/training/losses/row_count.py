"""How many labelled rows an optimizer step has, told to models with a second loss that is a mean over rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.training.losses.scale import bare_model
from hf_ext.training.watch.batch_rows import count_rows

NUM_ROWS, ROW_LABELS = "num_rows_in_batch", ("sentence_labels", "next_sentence_label")


def tell_rows(trainer: Trainer, batches: list[Any]) -> None:
    """Write the number of rows of an optimizer step into each of its micro-batches, for models that count them.

    Counted and scaled as Trainer does ``num_items_in_batch``: over all micro-batches and, where the loss is multiplied
    by the number of processes (``average_tokens_across_devices``), over all processes. So both losses of a model keep
    their proportion however the batch is cut up. Rows whose label is -100 do not count.

    Args:
        trainer: Whose model may say ``counts_rows = True``; nothing is done for others.
        batches: The micro-batches of this process, which get an entry ``num_rows_in_batch``.
    """
    if not getattr(bare_model(trainer), "counts_rows", False):
        return
    args, device = trainer.args, trainer.args.device
    rows = torch.as_tensor(sum(_labelled_rows(batch) for batch in batches), device=device)
    if args.average_tokens_across_devices:
        if args.world_size > 1:
            rows = trainer.accelerator.gather(rows).sum()
    elif args.n_gpu > 1:
        rows = rows // args.n_gpu
    if args.n_gpu > 1:  # a replica is given its part of every tensor
        rows = rows.reshape(1, 1).expand(args.n_gpu, 1)
    rows = rows / (trainer.get_tp_size() * trainer.get_cp_size() * trainer.get_sp_size())
    for batch in batches:
        batch[NUM_ROWS] = rows


def _labelled_rows(batch: Mapping[str, Any]) -> Tensor | int:
    labels = next((batch[name] for name in ROW_LABELS if name in batch), None)
    return labels.ne(IGNORED_LABEL).sum() if isinstance(labels, Tensor) else count_rows(batch)
