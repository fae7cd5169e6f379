"""Texts, with or without table columns beside them, to labels or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple

from .base import ExtPreTrainedModel
from .configuration import ExtConfig
from .fusion import build_fusion
from .linear import GlorotLinear
from .poolers import build_pooler
from .schema import IGNORED_LABEL, MULTI_LABEL, SINGLE_LABEL
from .tabular import TabularEncoder
from .wide import NgramLogits


class ExtForSequenceClassification(ExtPreTrainedModel):
    """Classify or score texts: encoder, pooler, table columns joined by a fusion, hidden layers, logits.

    Where the config names n-gram sizes, a linear term over hashed n-grams is added to the logits.

    When: a pooler, table columns, hidden layers or n-grams are wanted; otherwise the family's stock head does.

    Args:
        config: Which encoder, pooler, columns, fusion, classifier and n-grams.
    """

    accepts_loss_kwargs = True  # the loss is divided by num_items_in_batch, so Trainer need not rescale it

    def __init__(self, config: ExtConfig) -> None:
        super().__init__(config)
        self.text_pooler = build_pooler(config.pooler, config.hidden_size, config.pooler_settings)
        width = self.text_pooler.output_size
        self.tabular = _build_tabular(config)
        self.fusion: nn.Module | None = None
        if self.tabular is not None:
            self.fusion = build_fusion(config.fusion, text_size=width, table_size=self.tabular.output_size)
            width = self.fusion.output_size
        sizes = [width, *config.classifier_hidden_sizes, config.num_labels]
        self.output_layers = _build_output_layers(sizes, config.classifier_dropout)  # type: ignore[arg-type]
        self.wide = _build_wide(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        category_ids: Tensor | None = None,
        numeric_values: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Score a batch.

        Args:
            input_ids: Token ids, shape ``(B, T)``.
            attention_mask: 1 for a real token, 0 for padding on either side, shape ``(B, T)``; guessed from
                ``pad_token_id`` if missing.
            token_type_ids: Segment ids, shape ``(B, T)``; dropped for encoders without segments.
            position_ids: Positions, shape ``(B, T)``, for encoders that take them.
            inputs_embeds: Token vectors that the encoder takes instead of ids, shape ``(B, T, E)``; n-grams are
                still read from ``input_ids``, which then have to come along.
            category_ids: Category ids, 0 for unknown, shape ``(B, C)``.
            numeric_values: Raw numbers, NaN for missing, shape ``(B, N)``.
            labels: Class indices ``(B,)``, 0/1 floats ``(B, L)``, or numbers ``(B,)``, see ``classification_loss``.
            num_items_in_batch: What the summed loss is divided by; Trainer gives the number of labels of the
                whole optimizer step over all processes.
            **kwargs: ``output_attentions``, ``output_hidden_states``, ``return_dict``, or what the encoder takes.

        Returns:
            ``logits`` of shape ``(B, L)``, at least float32; ``loss`` if labels came; ``hidden_states`` and
            ``attentions`` of the encoder if asked for.
        """
        if attention_mask is None:
            attention_mask = self.default_attention_mask(input_ids, inputs_embeds)
        kwargs.update(position_ids=position_ids, inputs_embeds=inputs_embeds)
        encoder_ids = input_ids if inputs_embeds is None else None  # most encoders refuse both at once
        encoded = self.encode(encoder_ids, attention_mask, token_type_ids=token_type_ids, **kwargs)
        pooled = self.text_pooler(encoded[0], attention_mask)  # (B, F)
        logits = self.output_layers(self._join_columns(pooled, category_ids, numeric_values))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # (B, L)
        if self.wide is not None:
            logits = logits + self._score_ngrams(self.wide, input_ids, attention_mask)
        loss = None
        if labels is not None:
            loss = classification_loss(logits, labels, self.config.problem_type, num_items_in_batch)
        return SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=getattr(encoded, "hidden_states", None),
            attentions=getattr(encoded, "attentions", None),
        )

    def _score_ngrams(self, wide: NgramLogits, input_ids: Tensor | None, attention_mask: Tensor) -> Tensor:
        if input_ids is None:
            raise ValueError(
                "this model adds n-grams to the logits and needs input_ids for them, beside inputs_embeds."
            )
        return wide(input_ids, attention_mask)

    def _join_columns(self, pooled: Tensor, category_ids: Tensor | None, numeric_values: Tensor | None) -> Tensor:
        if self.tabular is not None and self.fusion is not None:
            return self.fusion(pooled, self.tabular(category_ids, numeric_values))
        if category_ids is not None or numeric_values is not None:
            raise ValueError("this model has no table columns, but category_ids or numeric_values came.")
        return pooled


def classification_loss(
    logits: Tensor, labels: Tensor, problem_type: str | None, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Sum the loss of all labels and divide by their number.

    Cross entropy over the classes, binary cross entropy of each label on its own, or the squared error. A label
    of -100 (``IGNORED_LABEL``) counts nowhere, neither in the sum nor in the number: that is how Trainer counts.

    Args:
        logits: Scores, shape ``(B, L)``; ``(B, 1)`` for regression.
        labels: Class indices ``(B,)``; 0/1 floats ``(B, L)``; numbers ``(B,)`` or ``(B, 1)``.
        problem_type: One of ``schema.PROBLEM_TYPES``.
        num_items_in_batch: The divisor; if missing, the number of labels here. Rows for single label and
            regression, rows times labels for multi-label.

    Returns:
        A scalar; 0 if there is no label to learn from.
    """
    if problem_type == SINGLE_LABEL:
        total = functional.cross_entropy(logits, labels.reshape(-1), ignore_index=IGNORED_LABEL, reduction="sum")
    else:
        targets = labels.reshape(logits.shape).to(logits.dtype)
        counted = targets != IGNORED_LABEL
        targets = targets.masked_fill(~counted, 0.0)
        each = (
            functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
            if problem_type == MULTI_LABEL
            else functional.mse_loss(logits, targets, reduction="none")
        )
        total = each.masked_fill(~counted, 0.0).sum()
    if num_items_in_batch is None:
        return total / (labels != IGNORED_LABEL).sum().clamp_min(1)
    if isinstance(num_items_in_batch, Tensor):
        num_items_in_batch = num_items_in_batch.to(total.device)
    return total / num_items_in_batch


def _build_tabular(config: ExtConfig) -> TabularEncoder | None:
    columns = config.tabular
    if not columns:
        return None
    return TabularEncoder(
        category_sizes=columns.category_sizes,
        numeric_mean=[column.mean for column in columns.numeric],
        numeric_std=[column.std for column in columns.numeric],
        numeric_missing=[column.has_missing for column in columns.numeric],
        category_embedding=config.category_embedding,
        category_embedding_size=config.category_embedding_size,
    )


def _build_wide(config: ExtConfig) -> NgramLogits | None:
    if not config.ngram_sizes:
        return None
    return NgramLogits(
        sizes=config.ngram_sizes,
        num_buckets=config.ngram_buckets,
        num_labels=config.num_labels,  # type: ignore[arg-type]
    )


def _build_output_layers(sizes: Sequence[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, next_width in pairwise(sizes[:-1]):
        layers += [nn.Dropout(dropout), GlorotLinear(width, next_width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), GlorotLinear(sizes[-2], sizes[-1]))


AutoModelForSequenceClassification.register(ExtConfig, ExtForSequenceClassification, exist_ok=True)
