"""What the rows of a pretraining run are like: how many tokens they hold, and how many of these are masked."""

from __future__ import annotations

import numpy as np
from datasets import Dataset
from pyarrow import compute
from transformers import PreTrainedTokenizerBase

from hf_ext.data.pretraining.collator import IGNORED, MaskingCollator

READ_ROWS = 1000  # rows in memory at a time
SAMPLED_ROWS = 1000  # rows whose masks, or unknown tokens, are looked at
BATCH_ROWS = 50


def count_tokens(rows: Dataset) -> int:
    """Count the tokens of all rows, special tokens included, in memory that does not grow with their number."""
    batches = rows.with_format("arrow").iter(READ_ROWS)
    return sum(compute.sum(compute.list_value_length(batch["input_ids"])).as_py() for batch in batches)


def measure_mask_rate(rows: Dataset, collator: MaskingCollator) -> float:
    """Give the share of tokens to predict among those that can be: neither special nor padding.

    Measured on at most 1,000 rows at even distances, with the masks of the collator's present epoch.

    Args:
        rows: Rows as the collator takes them.
        collator: What masks them.
    """
    sample = _sample(rows).with_format("arrow")
    chosen = maskable = 0
    for start in range(0, len(sample), BATCH_ROWS):
        batch = sample[start : start + BATCH_ROWS]
        chosen += int((collator(batch)["labels"] != IGNORED).sum())
        tokens = batch["input_ids"].combine_chunks().values.to_numpy()
        maskable += int((~np.isin(tokens, collator.tokenizer.all_special_ids)).sum())
    return chosen / maskable if maskable else 0.0


def count_unknown(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> tuple[float, float]:
    """Give which share of the tokens is unknown, and which is special, unknown ones included.

    Measured on at most 1,000 rows at even distances.

    Args:
        rows: Token rows.
        tokenizer: What made them.
    """
    tokens = np.concatenate([np.asarray(ids) for ids in _sample(rows)["input_ids"]])
    unknown = 0.0 if tokenizer.unk_token_id is None else float((tokens == tokenizer.unk_token_id).mean())
    return unknown, float(np.isin(tokens, tokenizer.all_special_ids).mean())


def _sample(rows: Dataset) -> Dataset:
    count = min(len(rows), SAMPLED_ROWS)
    return rows.select([i * len(rows) // count for i in range(count)])
