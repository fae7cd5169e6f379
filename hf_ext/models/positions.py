"""How long a sequence an encoder can take."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel


def count_positions(model: PreTrainedModel) -> int | None:
    """Count the positions that a model has a vector for; None where positions are computed (rotary, relative).

    A tokenizer often claims more (or no limit at all), and a longer sequence ends in an index error within the first
    batch. Families that number positions from ``padding_idx + 1`` (RoBERTa and its kin) have that many fewer.
    """
    counts = [
        table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
        for name, table in model.base_model.named_modules()
        if name.rpartition(".")[2] == "position_embeddings" and isinstance(table, nn.Embedding)
    ]
    return min(counts, default=None)
