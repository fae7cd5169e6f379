"""Windows as padded tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.data.collators import pad_sequences
from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.models.tagging_schema import PADDING_CHARACTER

FILLS = {"labels": IGNORED_LABEL, "word_mask": 0}


@dataclass
class TaggingCollator:
    """Pad each batch to its own longest window.

    Padding goes to the tokenizer's own side. Columns that are not listed below are left out. Instances can be pickled
    for the workers of a data loader.

    Args:
        tokenizer: The tokenizer that made the windows.
        pad_to_multiple_of: Round the length up to a multiple of this many tokens, e.g. 8 for tensor cores.
        max_length: Pad every batch to this many tokens instead of its own longest window, or to as many as the
            tokenizer allows if that is less.

    Returns:
        ``input_ids``, ``attention_mask``, ``word_mask`` and, where the windows have them, ``token_type_ids`` and
        ``labels`` (padded with -100), each int64 ``(B, T)``; ``char_ids`` int64 ``(B, W, C)`` for the W words of the
        window with the most words, front first, and the C characters of the longest word, padded with 0;
        ``sentence_labels`` int64 ``(B,)``.
    """

    tokenizer: PreTrainedTokenizerBase
    pad_to_multiple_of: int | None = None
    max_length: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Make one batch."""
        batch = pad_sequences(
            rows, self.tokenizer, pad_to_multiple_of=self.pad_to_multiple_of, max_length=self.max_length
        )
        length = batch["input_ids"].shape[1]
        for name, fill in FILLS.items():
            if name in rows[0]:
                padded = torch.full((len(rows), length), fill, dtype=torch.int64)  # (B, T)
                for i, row in enumerate(rows):
                    values = torch.as_tensor(row[name], dtype=torch.int64)
                    padded[i, self._place(len(values), length)] = values
                batch[name] = padded
        if "char_ids" in rows[0]:
            batch["char_ids"] = _pad_characters([row["char_ids"] for row in rows])
        if "sentence_labels" in rows[0]:
            batch["sentence_labels"] = torch.tensor([int(row["sentence_labels"]) for row in rows])  # (B,)
        return batch

    def _place(self, size: int, length: int) -> slice:
        return slice(length - size, length) if self.tokenizer.padding_side == "left" else slice(0, size)


def _pad_characters(words: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    most = max(map(len, words))
    longest = max((len(ids) for row in words for ids in row), default=0)
    padded = torch.full((len(words), most, max(longest, 1)), PADDING_CHARACTER, dtype=torch.int64)  # (B, W, C)
    for i, row in enumerate(words):
        for j, ids in enumerate(row):
            padded[i, j, : len(ids)] = torch.as_tensor(ids, dtype=torch.int64)
    return padded
