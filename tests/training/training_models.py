"""The stock model of the training tests, two layers of width 16."""

from __future__ import annotations

import torch
from transformers import BertConfig, BertForSequenceClassification

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "num_labels": 3,
}


def tiny_bert(**changes):
    """Build a BERT classifier with the same weights every time."""
    torch.manual_seed(1)
    return BertForSequenceClassification(BertConfig(**{**SIZES, **changes}))
