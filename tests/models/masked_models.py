"""Tiny masked language models of every family, batches with masked tokens, and a vocabulary as tokenizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForPreTraining, PreTrainedModel

VOCAB_SIZE = 40
BERT = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
ROBERTA = {**BERT, "pad_token_id": 1}
MODERNBERT_IDS = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
FAMILIES: dict[str, dict[str, Any]] = {
    "albert": {**BERT, "embedding_size": 12, "classifier_dropout_prob": 0.0},
    "bert": BERT,
    "camembert": ROBERTA,
    "distilbert": {
        "vocab_size": VOCAB_SIZE,
        "dim": 16,
        "hidden_dim": 24,
        "n_heads": 2,
        "n_layers": 2,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "max_position_embeddings": 64,
    },
    "electra": {**BERT, "embedding_size": 12},
    "ernie": BERT,
    "modernbert": {name: value for name, value in BERT.items() if "dropout" not in name} | MODERNBERT_IDS,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
}
PAIR_FAMILIES = ("albert", "bert", "ernie")
MODELS = [(family, False) for family in FAMILIES] + [(family, True) for family in PAIR_FAMILIES]


def build_masked_model(family: str, *, pairs: bool = False, dtype: torch.dtype = torch.float32, **changes: Any):
    """Build a stock model without dropout, the same every time, its biases and norms away from their fresh values."""
    torch.manual_seed(0)
    auto = AutoModelForPreTraining if pairs else AutoModelForMaskedLM
    model: PreTrainedModel = auto.from_config(AutoConfig.for_model(family, **{**FAMILIES[family], **changes}))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model.to(dtype)


def masked_batch(rows: int = 4, length: int = 9, *, pairs: bool = False, seed: int = 0) -> dict[str, Tensor]:
    """Make random rows of which the second has no masked token, with padding at the end of the third."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, VOCAB_SIZE, (rows, length), generator=generator)
    labels = ids.masked_fill(torch.rand(rows, length, generator=generator) > 0.3, -100)
    labels[0, 1], labels[1:2] = ids[0, 1], -100
    mask = torch.ones_like(ids)
    mask[2:3, -3:], labels[2:3, -3:] = 0, -100
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    if pairs:
        batch["next_sentence_label"] = torch.arange(rows) % 2
    return batch


def positions_of(labels: Tensor) -> Tensor:
    """Give the flat indices of masked tokens, as a collator does."""
    return labels.reshape(-1).ne(-100).nonzero().squeeze(1)


def stock_inputs(family: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name the sentence labels as the stock class of a family does."""
    renamed = {"next_sentence_label": "sentence_order_label"} if family == "albert" else {}
    return {renamed.get(name, name): value for name, value in batch.items()}


class Vocabulary:
    """What the rows of a vocabulary need of a tokenizer: tokens ``t0``, ``t1``, ..."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def get_vocab(self) -> dict[str, int]:
        return {f"t{i}": i for i in range(self.size)}
