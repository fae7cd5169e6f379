"""Rows of features as padded tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

SEQUENCES = ("input_ids", "attention_mask", "token_type_ids", "special_tokens_mask")


@dataclass
class ClassificationCollator:
    """Pad each batch to its own longest row and put table columns and labels beside it.

    Padding goes to the tokenizer's own side with its own ids (XLNet pads on the left with segment 4). Columns
    that are not listed below are left out. Instances can be pickled for the workers of a data loader.

    Args:
        tokenizer: The tokenizer that made the rows.
        pad_to_multiple_of: Round the length up to a multiple of this many tokens, e.g. 8 for tensor cores.
        max_length: Pad every batch to this many tokens instead of its own longest row, or to as many as the
            tokenizer allows if that is less.

    Returns:
        ``input_ids``, ``attention_mask`` and, where the rows have them, ``token_type_ids``, each int64 ``(B, T)``;
        ``category_ids`` int64 ``(B, C)``; ``numeric_values`` float32 ``(B, N)``, NaN where missing; ``labels`` int64
        ``(B,)``, or float32 ``(B,)`` for regression and ``(B, L)`` for multi-label tasks.
    """

    tokenizer: PreTrainedTokenizerBase
    pad_to_multiple_of: int | None = None
    max_length: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Make one batch."""
        batch = pad_sequences(
            rows, self.tokenizer, pad_to_multiple_of=self.pad_to_multiple_of, max_length=self.max_length
        )
        if "category_ids" in rows[0]:
            batch["category_ids"] = torch.tensor([row["category_ids"] for row in rows], dtype=torch.int64)  # (B, C)
        if "numeric_values" in rows[0]:
            batch["numeric_values"] = torch.tensor(
                [row["numeric_values"] for row in rows], dtype=torch.float32
            )  # (B, N)
        if "labels" in rows[0]:
            batch["labels"] = _stack_labels([row["labels"] for row in rows])
        return batch


def pad_sequences(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    pad_to_multiple_of: int | None = None,
    max_length: int | None = None,
) -> dict[str, Tensor]:
    """Pad what the tokenizer has made, on its own side and with its own ids.

    Args:
        rows: The features of each row; of these only ``SEQUENCES`` are taken.
        tokenizer: The tokenizer that made them.
        pad_to_multiple_of: Round the length up to a multiple of this many tokens.
        max_length: Pad to this many tokens (or as many as the tokenizer allows) instead of the longest row.

    Returns:
        Each int64 ``(B, T)``.
    """
    sequences = {name: [row[name] for row in rows] for name in SEQUENCES if name in rows[0]}
    # a fast tokenizer advises to pad while tokenising, which would pad to the longest text of the whole file
    tokenizer.deprecation_warnings["Asking-to-pad-a-fast-tokenizer"] = True
    return dict(
        tokenizer.pad(
            sequences,
            padding="longest" if max_length is None else "max_length",
            max_length=None if max_length is None else min(max_length, tokenizer.model_max_length),
            pad_to_multiple_of=pad_to_multiple_of,
            return_tensors="pt",
        )
    )


def _stack_labels(labels: list[Any]) -> Tensor:
    first = labels[0]
    is_float = isinstance(first, float | Sequence) or (isinstance(first, Tensor) and first.is_floating_point())
    return torch.as_tensor(labels, dtype=torch.float32 if is_float else torch.int64)  # (B,) or (B, L)
