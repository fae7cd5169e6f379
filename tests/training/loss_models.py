"""Models with losses of their own, for the loss tests: a CRF tagger, and one with two heads."""

from __future__ import annotations

import torch
import torchcrf
from torch import nn
from torch.nn import functional
from training_models import SIZES
from transformers import BertConfig, BertForTokenClassification, BertModel, BertPreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput


class CrfTagger(BertPreTrainedModel):
    """Emissions of BERT, scored by a CRF of the package torchcrf; every token has a tag."""

    def __init__(self, config):
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.crf = torchcrf.CRF(config.num_labels, batch_first=True)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, labels=None):
        logits = self.classifier(self.bert(input_ids, attention_mask)[0])
        loss = None if labels is None else -self.crf(logits, labels, reduction="mean")
        return TokenClassifierOutput(loss=loss, logits=logits)


class TwoHeads(BertPreTrainedModel):
    """A class and a number from one vector, weighed by ``config.multitask_alpha``."""

    def __init__(self, config):
        super().__init__(config)
        self.bert = BertModel(config)
        self.classifier, self.scorer = (
            nn.Linear(config.hidden_size, config.num_labels),
            nn.Linear(config.hidden_size, 1),
        )
        self.post_init()

    def losses(self, input_ids, labels, scores):
        pooled = self.bert(input_ids)[1]
        logits = self.classifier(pooled)
        score_loss = functional.mse_loss(self.scorer(pooled).squeeze(-1), scores)
        return logits, functional.cross_entropy(logits, labels), score_loss

    def forward(self, input_ids, labels=None, scores=None):
        logits, first, second = self.losses(input_ids, labels, scores)
        alpha = self.config.multitask_alpha
        return TokenClassifierOutput(loss=alpha * first + (1 - alpha) * second, logits=logits)


def tiny_tagger(model_class=BertForTokenClassification, **changes):
    """Build a tagger with the same weights every time."""
    torch.manual_seed(1)
    return model_class(BertConfig(**{**SIZES, **changes}))


def tiny_two_heads():
    """Build the model with two heads."""
    return tiny_tagger(TwoHeads, multitask_alpha=0.5)
