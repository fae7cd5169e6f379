"""Tiny stock classifiers of many families, and models with a CRF or table columns, for the tests of groups."""

from __future__ import annotations

import torch
from torch import nn
from torchcrf import CRF
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig, BertModel, BertPreTrainedModel

from hf_ext.models import (
    ExtConfig,
    ExtForSequenceClassification,
    LabelSchema,
    RecurrentEncoderConfig,
    TabularSchema,
    TaskSchema,
)

LAYERS = 3
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_labels": 3}
WIDE = {**SIZES, "intermediate_size": 24, "max_position_embeddings": 64, "pad_token_id": 0}
MODERN = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
DISTIL = {"vocab_size": 40, "dim": 16, "hidden_dim": 24, "n_heads": 2, "n_layers": LAYERS, "num_labels": 3}
XLNET = {"vocab_size": 40, "d_model": 16, "n_layer": LAYERS, "n_head": 2, "d_inner": 24, "num_labels": 3}
FAMILIES = {
    "bert": WIDE,
    "roberta": {**WIDE, "pad_token_id": 1},
    "distilbert": DISTIL,
    "electra": {**WIDE, "embedding_size": 12},
    "modernbert": {**WIDE, **MODERN},
    "deberta-v2": {**WIDE, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"},
    "albert": {**WIDE, "embedding_size": 12},
    "xlnet": XLNET,
    "funnel": {
        **{"vocab_size": 40, "block_sizes": [1, 2], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24},
        "num_labels": 3,
    },
}
# Name of the stack of layers, in the bare model.
STACKS = {
    "bert": "bert.encoder.layer",
    "roberta": "roberta.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
    "electra": "electra.encoder.layer",
    "modernbert": "model.layers",
    "deberta-v2": "deberta.encoder.layer",
    "xlnet": "transformer.layer",
}
EMBEDDINGS = {
    **{family: (f"{family}.embeddings.",) for family in ("bert", "roberta", "distilbert")},
    "electra": ("electra.embeddings.", "electra.embeddings_project."),
    "modernbert": ("model.embeddings.",),
    "deberta-v2": ("deberta.embeddings.",),
    "xlnet": ("transformer.word_embedding.", "transformer.mask_emb"),
}


def stock(family: str) -> nn.Module:
    """Build a stock classifier of three layers."""
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **FAMILIES[family]))


def ours(*, recurrent: str | None = None) -> ExtForSequenceClassification:
    """Build our classifier with table columns, on BERT or on an encoder from scratch (``none``, ``lstm``)."""
    torch.manual_seed(0)
    encoder = BertConfig(**WIDE)
    if recurrent is not None:
        encoder = RecurrentEncoderConfig(vocab_size=40, embedding_size=12, rnn=recurrent, rnn_hidden_size=6)
    config = ExtConfig(encoder_config=encoder, pooler="mean", classifier_hidden_sizes=[8], category_embedding="learned")
    columns = TabularSchema.fit(
        [{"kind": "x", "price": "1"}, {"kind": "y", "price": "4"}], categorical=["kind"], numeric=["price"]
    )
    TaskSchema(labels=LabelSchema(names=("a", "b", "c")), columns=columns).write_into(config)
    return ExtForSequenceClassification(config)


class OwnCRF(CRF):
    """A CRF with a layer of its own, which decays as any other."""

    def __init__(self, num_tags: int) -> None:
        super().__init__(num_tags, batch_first=True)
        self.scores = nn.Linear(16, num_tags)


class Tagger(BertPreTrainedModel):
    """BERT, emissions and a CRF."""

    def __init__(self, config: BertConfig, crf: type[CRF] = CRF) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.emissions = nn.Linear(config.hidden_size, 3)
        self.crf = crf(3)


def tagger(crf: type[CRF] = CRF) -> Tagger:
    """Build a tagger with a CRF."""
    torch.manual_seed(0)
    return Tagger(BertConfig(**WIDE), crf)


def lora(model: nn.Module, **changes) -> nn.Module:
    """Put LoRA on the queries; the classifier is trained as a whole."""
    from peft import LoraConfig, get_peft_model

    settings = {"task_type": "SEQ_CLS", "r": 2, "target_modules": ["query"], "modules_to_save": ["classifier"]}
    return get_peft_model(model, LoraConfig(**{**settings, **changes}))
