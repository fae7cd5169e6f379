"""Models, rows and batches of the adversarial oracle: four heads in float64, rows of different lengths."""

from __future__ import annotations

import torch
from torch import nn
from torchcrf import CRF
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedModel

from hf_ext.models import (
    ExtConfig,
    ExtForSequenceClassification,
    ExtForTokenClassification,
    LabelSchema,
    TabularSchema,
    TaskSchema,
)

HEADS = ("stock", "ext", "crf", "tagger")
CRF_HEADS = ("crf", "tagger")
ROWS = 16
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SCHEMA = TaskSchema(
    labels=LabelSchema(names=("a", "b", "c")),
    columns=TabularSchema.fit(
        [{"kind": "x", "price": "1"}, {"kind": "y", "price": "4"}, {"kind": "y", "price": ""}],
        categorical=["kind"],
        numeric=["price"],
    ),
)


class CrfTagger(PreTrainedModel):
    """Tags with a conditional random field: the summed negative log-likelihood over the number of tags."""

    config_class = BertConfig
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True

    def __init__(self, config):
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.crf = CRF(config.num_labels, batch_first=True)
        self.post_init()

    def forward(
        self, input_ids=None, attention_mask=None, inputs_embeds=None, labels=None, num_items_in_batch=None, **kwargs
    ):
        kwargs = {"input_ids": input_ids, "inputs_embeds": inputs_embeds, "attention_mask": attention_mask}
        logits = self.classifier(self.bert(**kwargs)[0])  # (B, T, L)
        if labels is None:
            return {"logits": logits}
        count = labels.ne(-100).sum() if num_items_in_batch is None else num_items_in_batch
        total = -self.crf(logits, labels.clamp_min(0), mask=attention_mask.bool(), reduction="sum")
        return {"loss": total / count, "logits": logits}


def encoder_config(**changes):
    """Give a BERT of two layers, with weights large enough that curvature is above rounding errors."""
    settings = {**SIZES, **NO_DROPOUT, "initializer_range": 0.2, "num_labels": 3, **changes}
    return BertConfig(attn_implementation="eager", **settings)


def build_model(head, **changes):
    """Build the same weights every time."""
    torch.manual_seed(3)
    config = encoder_config(**changes)
    if head == "ext":
        ext = ExtConfig(encoder_config=config, pooler="mean", classifier_hidden_sizes=[8], classifier_dropout=0.0)
        SCHEMA.write_into(ext)
        return ExtForSequenceClassification(ext).double()
    if head == "tagger":  # of ours; without a schema it has no constraints, and every real token is a word
        ext = ExtConfig(encoder_config=config, tag_decoder="crf", classifier_dropout=0.0, num_labels=3)
        return ExtForTokenClassification(ext).double()
    return {"stock": BertForSequenceClassification, "crf": CrfTagger}[head](config).double()


def build_rows(head, count=ROWS):
    """Give rows of 3 to 7 tokens; every fifth is left out by ``collate``, so that micro-batches differ in size."""
    generator = torch.Generator().manual_seed(4)
    rows = []
    for i in range(count):
        length = 3 + i * 3 % 5
        row = {"input_ids": torch.randint(1, 40, (length,), generator=generator).tolist(), "labels": i % 3}
        row["present"] = i % 5 != 4
        if head == "ext":
            row["category_ids"] = [i % 3]
            row["numeric_values"] = [float("nan") if i == 1 else float(i)]
            row["labels"] = -100 if i in (2, 5, 6) else row["labels"]
        if head in CRF_HEADS:
            row["labels"] = [(i + token) % 3 for token in range(length)]
        rows.append(row)
    return rows


def collate(rows):
    """Pad the rows that are present on the right and stack them; numbers in float64."""
    rows = [row for row in rows if row.get("present", True)]
    longest = max(len(row["input_ids"]) for row in rows)

    def pad(values, filler):
        return values + [filler] * (longest - len(values))

    batch = {
        "input_ids": torch.tensor([pad(row["input_ids"], 0) for row in rows]),
        "attention_mask": torch.tensor([pad([1] * len(row["input_ids"]), 0) for row in rows]),
    }
    labels = [row.get("labels") for row in rows]
    if labels[0] is not None:
        batch["labels"] = torch.tensor([pad(each, -100) for each in labels] if isinstance(labels[0], list) else labels)
    if "category_ids" in rows[0]:
        batch["category_ids"] = torch.tensor([row["category_ids"] for row in rows])
        batch["numeric_values"] = torch.tensor([row["numeric_values"] for row in rows], dtype=torch.float64)
    return batch


def micro_batches(head, count):
    """Give the batches that ``count`` micro-batches over all processes see, in any order."""
    rows = build_rows(head)
    size = len(rows) // count
    return [collate(rows[start : start + size]) for start in range(0, len(rows), size)]
