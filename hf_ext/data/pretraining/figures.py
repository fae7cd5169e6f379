"""What the rows of a pretraining run are like: how many tokens they hold, and how many of these are masked."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as compute
from datasets import Dataset

from hf_ext.data.pretraining.collator import IGNORED, MaskingCollator

READ_ROWS = 1000  # rows in memory at a time
MASKED_ROWS = 1000  # rows whose masks are looked at
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
    count = min(len(rows), MASKED_ROWS)
    sample = rows.select([i * len(rows) // count for i in range(count)])
    chosen = maskable = 0
    for start in range(0, count, BATCH_ROWS):
        batch = [sample[i] for i in range(start, min(start + BATCH_ROWS, count))]
        chosen += int((collator(batch)["labels"] != IGNORED).sum())
        tokens = np.concatenate([np.asarray(row["input_ids"]) for row in batch])
        maskable += int((~np.isin(tokens, collator.tokenizer.all_special_ids)).sum())
    return chosen / maskable if maskable else 0.0
