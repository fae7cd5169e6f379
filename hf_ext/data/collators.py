"""Rows of features as padded tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.data.batch_columns import Batch, BatchColumns, read_columns
from hf_ext.data.batch_layout import BatchLayout, padded_size


@dataclass
class ClassificationCollator:
    """Pad each batch to its own longest row and put table columns and labels beside it.

    Padding goes to the tokenizer's own side with its own ids (XLNet pads on the left with segment 4). Columns
    that are not listed below are left out. Instances can be pickled for the workers of a data loader.

    A batch may be a sequence of rows, or one Arrow table, which is several times faster; ``ExtTrainer`` hands tables
    to collators that say so by ``takes_tables``.

    Args:
        tokenizer: The tokenizer that made the rows.
        pad_to_multiple_of: Round the length up to a multiple of this many tokens, e.g. 8 for tensor cores.
        max_length: Pad every batch to this many tokens instead of its own longest row, or to as many as the
            tokenizer allows if that is less.

    Returns:
        ``input_ids``, ``attention_mask`` and, where the rows have them, ``token_type_ids``, each int64 ``(B, T)``;
        ``category_ids`` int64 ``(B, C)``; ``numeric_values`` float32 ``(B, N)``, NaN where missing; ``labels`` int64
        ``(B,)``, or float32 ``(B,)`` for regression and ``(B, L)`` for multi-label tasks.

    Raises:
        ValueError: If the tokenizer has no padding token.
    """

    takes_tables: ClassVar[bool] = True

    tokenizer: PreTrainedTokenizerBase
    pad_to_multiple_of: int | None = None
    max_length: int | None = None

    def __call__(self, rows: Batch) -> dict[str, Tensor]:
        """Make one batch."""
        columns = read_columns(rows)
        batch, _ = pad_tokens(
            columns, self.tokenizer, pad_to_multiple_of=self.pad_to_multiple_of, max_length=self.max_length
        )
        if "category_ids" in columns:
            batch["category_ids"] = columns.stack("category_ids").astype(np.int64)  # (B, C)
        if "numeric_values" in columns:
            batch["numeric_values"] = columns.stack("numeric_values").astype(np.float32)  # (B, N)
        if "labels" in columns:
            labels = columns.stack("labels")
            is_float = labels.ndim == 2 or labels.dtype.kind == "f"
            batch["labels"] = labels.astype(np.float32 if is_float else np.int64)  # (B,) or (B, L)
        return {name: torch.from_numpy(values) for name, values in batch.items()}


def pad_tokens(
    columns: BatchColumns,
    tokenizer: PreTrainedTokenizerBase,
    *,
    pad_to_multiple_of: int | None = None,
    max_length: int | None = None,
) -> tuple[dict[str, NDArray[Any]], BatchLayout]:
    """Pad what the tokenizer has made as its own ``pad`` would: on its side and with its ids.

    Args:
        columns: The features of a batch; of these only what a tokenizer makes is taken.
        tokenizer: The tokenizer that made them.
        pad_to_multiple_of: Round the length up to a multiple of this many tokens.
        max_length: Pad to this many tokens (or as many as the tokenizer allows) instead of the longest row.

    Returns:
        Each int64 ``(B, T)``; and where tokens stand, for what else there is one of for each token.

    Raises:
        ValueError: If the tokenizer has no padding token.
    """
    if tokenizer.pad_token_id is None:
        raise ValueError("the tokenizer has no padding token, so rows of different length make no batch.")
    fills = {"token_type_ids": tokenizer.pad_token_type_id, "attention_mask": 0, "special_tokens_mask": 1}
    tokens = columns.lists("input_ids")
    fixed = None if max_length is None else min(max_length, tokenizer.model_max_length)
    size = padded_size(int(tokens.lengths.max()), max_length=fixed, pad_to_multiple_of=pad_to_multiple_of)
    layout = BatchLayout(tokens.lengths, size, left=tokenizer.padding_side == "left")
    batch = {"input_ids": layout.place(layout.pad(tokens.values, tokenizer.pad_token_id))}
    for name, fill in fills.items():
        if name in columns:
            batch[name] = layout.place(layout.pad(columns.lists(name).values, fill))
    if "attention_mask" not in batch and "attention_mask" in tokenizer.model_input_names:
        batch["attention_mask"] = layout.place(layout.real).astype(np.int64)
    return batch, layout
