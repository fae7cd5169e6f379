"""Tiny encoders, schemas and batches for the tests of the models."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig

from hf_ext.models.arguments import ModelArguments
from hf_ext.models.configuration import ExtConfig
from hf_ext.models.encoders import RecurrentEncoderConfig
from hf_ext.models.schema import (
    REGRESSION,
    CategoricalColumn,
    LabelSchema,
    NumericColumn,
    TabularSchema,
    TaskSchema,
)
from hf_ext.models.sequence_classification import ExtForSequenceClassification

VOCAB_SIZE = 40
SIZES = {"vocab_size": VOCAB_SIZE, "num_attention_heads": 2, "num_hidden_layers": 2, "hidden_size": 16}
FEED_FORWARD = {"intermediate_size": 24, "max_position_embeddings": 64, "pad_token_id": 0}
FAMILY_SETTINGS: dict[str, dict[str, Any]] = {
    "bert": {**SIZES, **FEED_FORWARD},
    "roberta": {**SIZES, **FEED_FORWARD, "pad_token_id": 1},
    "distilbert": {"vocab_size": VOCAB_SIZE, "dim": 16, "hidden_dim": 24, "n_heads": 2, "n_layers": 2},
    "electra": {**SIZES, **FEED_FORWARD, "embedding_size": 12},
    "modernbert": {**SIZES, **FEED_FORWARD, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
    "deberta-v2": {**SIZES, **FEED_FORWARD, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "xlnet": {"vocab_size": VOCAB_SIZE, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24, "pad_token_id": 5},
    "albert": {**SIZES, **FEED_FORWARD, "embedding_size": 12},
}
FAMILIES = list(FAMILY_SETTINGS)
NO_COLUMNS = TabularSchema()
COLUMNS = TabularSchema(
    categorical=(CategoricalColumn("colour", ("blue", "red")), CategoricalColumn("size", ("l", "m", "s"))),
    numeric=(NumericColumn("price", 12.0, 3.0, True), NumericColumn("age", 40.0, 10.0)),
)


def encoder_config(family: str) -> PreTrainedConfig:
    """Make the configuration of a two-layer encoder of a family, 16 wide."""
    return AutoConfig.for_model(family, **FAMILY_SETTINGS[family])


def recurrent_config(**settings: Any) -> RecurrentEncoderConfig:
    """Make the configuration of a small encoder that is trained from scratch."""
    return RecurrentEncoderConfig(**{"vocab_size": VOCAB_SIZE, "embedding_size": 12, "rnn_hidden_size": 6, **settings})


def task(
    names: tuple[str, ...] = ("bad", "good", "so-so"),
    *,
    problem_type: str = "single_label_classification",
    columns: TabularSchema = NO_COLUMNS,
) -> TaskSchema:
    """Make the schema of a task."""
    return TaskSchema(labels=LabelSchema(problem_type, () if problem_type == REGRESSION else names), columns=columns)


def arguments(**flags: Any) -> ModelArguments:
    """Make model flags with small poolers."""
    small = {"filter_num": 5, "filter_sizes": "2,3", "lstm_hidden_size": 6, "gru_hidden_size": 6}
    return ModelArguments(**{**small, **flags})


def build(
    config: PreTrainedConfig, schema: TaskSchema | None = None, *, seed: int = 0, **flags: Any
) -> ExtForSequenceClassification:
    """Build a model of ours on a fresh encoder, in evaluation mode."""
    torch.manual_seed(seed)
    schema = task() if schema is None else schema
    return ExtForSequenceClassification(ExtConfig.from_arguments(arguments(**flags), config, schema)).eval()


def batch(
    rows: int = 4, length: int = 9, *, columns: TabularSchema = NO_COLUMNS, seed: int = 0, left: bool = False
) -> dict[str, Tensor]:
    """Make random token ids with padding, and random cells, one of them missing, where there are columns."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, length + 1, (rows, 1), generator=generator)
    lengths[0] = length
    mask = (torch.arange(length) < lengths).long()
    inputs = {
        "input_ids": torch.randint(6, VOCAB_SIZE, (rows, length), generator=generator),
        "attention_mask": mask.flip(1) if left else mask,
    }
    if columns:
        cells = [torch.randint(0, size, (rows,), generator=generator) for size in columns.category_sizes]
        numbers = torch.randn(rows, len(columns.numeric), generator=generator) * 5 + 20
        numbers[-1, 0] = float("nan")
        inputs.update(category_ids=torch.stack(cells, 1), numeric_values=numbers)
    return inputs


def poison() -> None:
    """Fill freed memory with NaN, so that whatever a model forgets to initialise shows."""
    sizes = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 25, 36, 48, 64, 72, 96, 128, 144, 192, 256, 288, 384, 480, 640, 864)
    filled = [torch.full((size,), float("nan")) for size in sizes for _ in range(30)]
    del filled
