"""Folders of small untrained models of every kind, and rows for them; random weights answer as well as trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from reviews import review_rows
from scripts.ner_files import chinese, english
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, BertConfig

from hf_ext.models.arguments import ModelArguments
from hf_ext.models.configuration import ExtConfig
from hf_ext.models.encoders import RecurrentEncoderConfig
from hf_ext.models.joint_classification import ExtForJointClassification
from hf_ext.models.schema import LabelSchema, TabularSchema, TaskSchema, TextSchema
from hf_ext.models.sequence_classification import ExtForSequenceClassification
from hf_ext.models.tagger_arguments import TaggerArguments
from hf_ext.models.tagging_schema import TaggingSchema
from hf_ext.models.token_classification import ExtForTokenClassification
from hf_ext.tokenization import build_tokenizer

TAGS = ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
ROWS = [
    {**row, "second": f"{row['text']} once more" if i % 2 else "no"}
    for i, row in enumerate(review_rows(11, offset=100))
]
INPUTS = ["id", "text", "second", "shop", "price"]  # all columns of the rows but the label
KINDS: dict[str, dict[str, Any]] = {
    "text": {},
    "two_labels": {"names": ("bad", "good"), "pooler": "mean"},
    "columns": {"tabular": True, "pooler": "mean"},
    "columns_as_text": {"text": {"columns_as_text": ("shop", "price")}, "pooler": "cls"},
    "several_labels": {"problem_type": "multi_label_classification", "pooler": "max"},
    "regression": {"problem_type": "regression", "pooler": "cls"},
    "pairs": {"text": {"pair_column": "second"}},
}


def task_schema(kind: str) -> TaskSchema:
    """Make the schema of one of ``KINDS``."""
    settings = KINDS[kind]
    problem_type = settings.get("problem_type", "single_label_classification")
    names = () if problem_type == "regression" else settings.get("names", ("bad", "good", "so-so"))
    tabular = TabularSchema()
    if settings.get("tabular"):
        tabular = TabularSchema.fit(review_rows(30), categorical=["shop"], numeric=["price"])
    text = TextSchema(columns=("text",), max_length=20, **settings.get("text", {}))
    return TaskSchema(LabelSchema(problem_type, names), text, tabular, label_column="label", id_column="id")


def save_classifier(folder: Path, kind: str) -> str:
    """Save a model of ours where the kind asks for a pooler, else a stock head; both on a small BERT."""
    tokenizer = build_tokenizer([row["text"] for row in review_rows(60)], level="word", min_count=1)
    schema, pooler = task_schema(kind), KINDS[kind].get("pooler")
    torch.manual_seed(3)
    encoder = bert(len(tokenizer))
    if pooler is None:
        schema.write_into(encoder)
        model = AutoModelForSequenceClassification.from_config(encoder)
    else:
        model = ExtForSequenceClassification(ExtConfig.from_arguments(ModelArguments(pooler=pooler), encoder, schema))
    return save(folder, enlarge(model), tokenizer)


def save_tagger(folder: Path, *, joint: bool = False, stock: bool = False, level: str = "word", **flags: Any) -> str:
    """Save a tagger with windows of 12 tokens; a CRF from scratch unless a flag says otherwise."""
    sentences = chinese(30) if level == "character" else english(60)
    texts = [" ".join(words) for words, _, _ in sentences]
    tokenizer = build_tokenizer(texts, level="whole", min_count=1)
    characters = "".join(sorted({c for text in texts for c in text} - {" "})) if "character_encoder" in flags else ""
    schema = TaggingSchema(
        TAGS,
        "BIO",
        level=level,
        tokens_column="tokens",
        tags_column="ner_tags",
        sentence_labels=("move", "stay", "work") if joint else (),
        max_length=12,
        characters=characters,
    )
    torch.manual_seed(3)
    if stock:
        encoder = bert(len(tokenizer))
        schema.write_into(encoder)
        return save(folder, enlarge(AutoModelForTokenClassification.from_config(encoder)), tokenizer)
    small = {"rnn_hidden_size": 8, "embedding_size": 12, "head_rnn_hidden_size": 6, "pooler": "max" if joint else None}
    arguments = TaggerArguments(**{"decoder": "crf", **small, **flags})
    encoder = RecurrentEncoderConfig.from_arguments(arguments, rnn="lstm", vocab_size=len(tokenizer), pad_token_id=0)
    made = ExtForJointClassification if joint else ExtForTokenClassification
    return save(folder, enlarge(made(ExtConfig.for_tagging(arguments, encoder, schema))), tokenizer)


def bert(vocab_size: int) -> BertConfig:
    """Make the configuration of a BERT of two layers."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertConfig(vocab_size=vocab_size, max_position_embeddings=64, **sizes)


def enlarge(model):
    """Make the answers of fresh weights differ from one another."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.mul_(1.5 if "embed" in name else 3.0)
            elif "transitions" in name:
                weight.normal_()
    return model


def save(folder: Path, model, tokenizer) -> str:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
