"""A label for the sentence and tags for its words, from one encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.utils import can_return_tuple

from .configuration import DEFAULT_ALPHA, ExtConfig
from .item_mean import mean_cross_entropy
from .linear import GlorotLinear
from .poolers import build_pooler
from .tagging_schema import TaggingSchema
from .token_classification import ExtForTokenClassification, ReadWords, TaggerOutput


class ExtForJointClassification(ExtForTokenClassification):
    """Classify sentences and tag their words with one encoder, trained on two losses at once.

    ``loss = alpha * sentence_loss + (1 - alpha) * tag_loss``, each a mean over its own items: sentences, labelled words
    (joint intent and slots: Chen et al., 2019, arXiv:1902.10909, who add the two losses as they are). The pooler
    ``cls`` reads the encoder's summary token; every other pooler reads the words' vectors, as the tags do.

    When: sentences come with a label and tags that depend on one another; otherwise two models are simpler.

    ``AutoModelForTokenClassification`` reads the tagger alone from a saved folder; ``load_tagger`` and this class read
    both.

    Args:
        config: As for ``ExtForTokenClassification``; pooler, ``multitask_alpha`` and the sentence labels of its
            ``tagging_schema`` come on top.

    Attributes:
        counts_rows: Trainer shall tell ``num_rows_in_batch``.
        named_losses: The losses that outputs hold by name, each with the labels that it is a mean over.
    """

    counts_rows = True
    named_losses: Mapping[str, str] = {"sentence_loss": "sentence_labels", "tag_loss": "labels"}

    def __init__(self, config: ExtConfig) -> None:
        schema = TaggingSchema.from_config(config)
        if schema is None or not schema.sentence_labels:
            raise ValueError("a joint model needs the sentence labels of a tagging schema in its config.")
        if config.multitask_alpha is None:
            config.multitask_alpha = DEFAULT_ALPHA
        super().__init__(config)
        width = config.hidden_size if config.pooler == "cls" else self.word_width
        self.sentence_pooler = build_pooler(config.pooler, width, config.pooler_settings)
        self.sentence_layer = GlorotLinear(self.sentence_pooler.output_size, len(schema.sentence_labels))
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        word_mask: Tensor | None = None,
        char_ids: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        num_rows_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> TaggerOutput:
        """Classify and tag a batch.

        Args:
            input_ids: As all up to ``labels`` for ``ExtForTokenClassification``.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            inputs_embeds: See there.
            word_mask: See there.
            char_ids: See there.
            labels: See there.
            sentence_labels: Label ids, -100 for rows that do not count, shape ``(B,)``.
            num_items_in_batch: Labelled words of the whole optimizer step over all processes.
            num_rows_in_batch: Labelled sentences of the same step.
            **kwargs: See there.

        Returns:
            See ``TaggerOutput``; losses only where both kinds of labels came.
        """
        read = self.read_words(
            input_ids,
            attention_mask,
            word_mask=word_mask,
            char_ids=char_ids,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        logits = self.classify_sentences(read)  # (B, S)
        losses: dict[str, Tensor] = {}
        if labels is not None and sentence_labels is not None:
            losses["sentence_loss"] = mean_cross_entropy(logits, sentence_labels.reshape(-1), num_rows_in_batch)
            losses["tag_loss"] = self.tag_loss(read, labels, num_items_in_batch)
        return TaggerOutput(
            loss=self.join_losses(losses) if losses else None,
            sentence_logits=logits,
            **{name: loss.detach() for name, loss in losses.items()},  # type: ignore[arg-type]
            **self.answers(read),
        )

    def join_losses(self, losses: Mapping[str, Any]) -> Any:
        """Weigh the two losses, tensors or numbers, by ``config.multitask_alpha``."""
        alpha: Any = self.config.multitask_alpha
        return alpha * losses["sentence_loss"] + (1 - alpha) * losses["tag_loss"]

    def classify_sentences(self, read: ReadWords) -> Tensor:
        """Give the scores of the sentence labels, at least float32, shape ``(B, S)``."""
        if self.config.pooler == "cls":
            pooled = self.sentence_pooler(read.encoded[0], read.attention_mask)
        else:
            pooled = self.sentence_pooler(read.vectors, read.places.mask)
        logits = self.sentence_layer(self.word_dropout(pooled))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))
