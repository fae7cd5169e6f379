"""Which positions an encoder has, and where it begins to count."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel


def count_positions(model: PreTrainedModel) -> int | None:
    """Count the positions that a model has a vector for; None where positions are computed (rotary, relative).

    A tokenizer often claims more (or no limit at all), and a longer sequence ends in an index error within the first
    batch. Families that number positions from ``padding_idx + 1`` (RoBERTa and its kin) have that many fewer.
    """
    return min((table.num_embeddings - _first(table) for table in _position_tables(model)), default=None)


def first_position(model: PreTrainedModel) -> int:
    """Give the position of a first token: 0, or ``padding_idx + 1`` in RoBERTa and its kin."""
    return max(map(_first, _position_tables(model)), default=0)


def _position_tables(model: PreTrainedModel) -> list[nn.Embedding]:
    return [
        table
        for name, table in model.base_model.named_modules()
        if name.rpartition(".")[2] == "position_embeddings" and isinstance(table, nn.Embedding)
    ]


def _first(table: nn.Embedding) -> int:
    return 0 if table.padding_idx is None else table.padding_idx + 1
