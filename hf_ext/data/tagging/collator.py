"""Windows as padded tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.data.batch_columns import Batch, FlatLists, read_columns
from hf_ext.data.collators import pad_tokens
from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.models.tagging_schema import PADDING_CHARACTER

FILLS = {"labels": IGNORED_LABEL, "word_mask": 0}


@dataclass
class TaggingCollator:
    """Pad each batch to its own longest window.

    Padding goes to the tokenizer's own side. Columns that are not listed below are left out. Instances can be pickled
    for the workers of a data loader. A batch may be a sequence of windows, or one Arrow table, which is faster.

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
        batch, layout = pad_tokens(
            columns, self.tokenizer, pad_to_multiple_of=self.pad_to_multiple_of, max_length=self.max_length
        )
        for name, fill in FILLS.items():
            if name in columns:
                batch[name] = layout.place(layout.pad(columns.lists(name).values, fill))
        if "char_ids" in columns:
            batch["char_ids"] = _pad_characters(*columns.nested_lists("char_ids"))
        if "sentence_labels" in columns:
            batch["sentence_labels"] = columns.stack("sentence_labels").astype(np.int64)  # (B,)
        return {name: torch.from_numpy(values) for name, values in batch.items()}


def _pad_characters(counts: NDArray[np.int64], words: FlatLists) -> NDArray[Any]:
    """Put the characters of each word of each window into a row of their own.

    Args:
        counts: Words of each window, shape ``(B,)``.
        words: The characters of all words.
    """
    longest = max(int(words.lengths.max(initial=0)), 1)
    padded = np.full((len(counts), int(counts.max()), longest), PADDING_CHARACTER, dtype=np.int64)  # (B, W, C)
    real = np.zeros_like(padded, dtype=bool)
    real[np.arange(padded.shape[1]) < counts[:, None]] = np.arange(longest) < words.lengths[:, None]
    padded[real] = words.values
    return padded
