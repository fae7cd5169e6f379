"""The vocabulary projection of a masked language model, at masked positions only."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import ModelOutput
from transformers.utils import can_return_tuple

from .item_mean import divide_by_items, mean_cross_entropy
from .projected_loss import projected_cross_entropy
from .schema import IGNORED_LABEL

Step = str | Callable[[Tensor], Tensor]
_BERT: tuple[Step, ...] = ("cls.predictions.transform",)
_ROBERTA: tuple[Step, ...] = ("lm_head.dense", functional.gelu, "lm_head.layer_norm")
# What leads from a token's hidden state to the input of the decoder: modules by name, and functions between them.
TRANSFORMS: dict[str, tuple[Step, ...]] = {
    "albert": ("predictions.dense", "predictions.activation", "predictions.LayerNorm"),
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": ("vocab_transform", "activation", "vocab_layer_norm"),
    "electra": ("generator_predictions",),
    "ernie": _BERT,
    "modernbert": ("head",),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
# The module that leads from the pooled vector to the two scores of a sentence pair.
SENTENCE_HEADS = {"albert": "sop_classifier", "bert": "cls.seq_relationship", "ernie": "cls.seq_relationship"}


@dataclass
class MaskedHeadOutput(ModelOutput):
    """What a model gives when it is called with labels; what there is not is None and left out.

    Args:
        loss: Scalar: the mean over the masked tokens, plus, of a model for sentence pairs, the mean over the pairs.
        mlm_loss: The first of the two for the log, without gradient; of a model for sentence pairs.
        sentence_loss: The second, likewise.
        sentence_logits: Scores of "in order" and "not", shape ``(B, 2)``; of a model for sentence pairs.
        hidden_states: The encoder's, if asked for.
        attentions: The encoder's, if asked for.
    """

    loss: Tensor | None = None
    mlm_loss: Tensor | None = None
    sentence_loss: Tensor | None = None
    sentence_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class MaskedHead(PreTrainedModel):
    """The forward of a masked language model whose head reads the hidden states of masked tokens alone.

    A vocabulary has tens of thousands of rows, so projecting all of ``(B, T)`` onto it costs a small encoder more than
    the encoder itself, and the scores at unmasked tokens have no part in the loss. Loss and gradient are those of the
    stock head. With labels there are no ``logits``; without labels the stock forward runs and gives them everywhere.

    When: always in pretraining; a metric that needs scores at every token has to call the model without labels.

    See ``project_masked_only``, which puts this in front of the stock class of a model.
    """

    accepts_loss_kwargs = True

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        masked_positions: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **inputs: Any,
    ) -> Any:
        """Score the masked tokens of a batch.

        Args:
            input_ids: Token ids, shape ``(B, T)``.
            attention_mask: 1 for a real token, shape ``(B, T)``, or any mask that the encoder takes.
            token_type_ids: Segment ids, shape ``(B, T)``, where the family knows them.
            position_ids: Position ids, shape ``(B, T)``.
            inputs_embeds: Token vectors instead of ids, shape ``(B, T, E)``.
            labels: The tokens that were masked, -100 elsewhere, shape ``(B, T)``.
            masked_positions: Where labels are not -100, as ``b * T + t``, shape ``(N,)``; spares an accelerator the
                wait of ``nonzero``. Left aside on a replica of ``DataParallel``, which has a part of the batch.
            num_items_in_batch: Masked tokens of the whole optimizer step over all processes; if missing, those here.
            **inputs: Anything else that the stock forward takes.

        Returns:
            ``MaskedHeadOutput``; without labels what the stock class gives.

        Raises:
            RuntimeError: If ``masked_positions`` are not those of the labels.
        """
        inputs |= _given(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        if labels is None:
            return super().forward(**inputs, return_dict=True)
        encoded = self.base_model(**inputs, return_dict=True)
        loss = self.masked_loss(encoded[0], labels, masked_positions, num_items_in_batch)
        return MaskedHeadOutput(loss=loss, hidden_states=encoded.hidden_states, attentions=encoded.attentions)

    def masked_loss(
        self,
        hidden_states: Tensor,
        labels: Tensor,
        masked_positions: Tensor | None,
        num_items_in_batch: Tensor | int | None,
    ) -> Tensor:
        """Compute the cross entropy at the masked tokens, in float32 or float64.

        Args:
            hidden_states: Of the encoder, shape ``(B, T, H)``.
            labels: See ``forward``, as the rest.
            masked_positions: See there.
            num_items_in_batch: See there.
        """
        labels = labels.reshape(-1).to(hidden_states.device)
        if masked_positions is None or getattr(self, "_is_replica", False):
            masked_positions = labels.ne(IGNORED_LABEL).nonzero().squeeze(1)
        else:
            _check_positions(masked_positions, labels)
        states = hidden_states.reshape(-1, hidden_states.shape[-1]).index_select(0, masked_positions)  # (N, H)
        for step in TRANSFORMS[self.config.model_type]:
            states = self.get_submodule(step)(states) if isinstance(step, str) else step(states)  # (N, E)
        targets = labels.index_select(0, masked_positions)
        total = projected_cross_entropy(states, self.get_output_embeddings(), targets)
        return divide_by_items(total, targets, num_items_in_batch)


class MaskedPairHead(MaskedHead):
    """The same for a model that also tells whether two sentences follow one another.

    ``loss = mlm_loss + sentence_loss``, each a mean over its own items: masked tokens, pairs (Devlin et al., 2019,
    arXiv:1810.04805, section 3.1; for the order of sentences Lan et al., 2020, arXiv:1909.11942, section 3.1).

    Attributes:
        counts_rows: Trainer shall tell ``num_rows_in_batch``.
        named_losses: The losses that outputs hold by name, each with the labels that it is a mean over.
    """

    counts_rows = True
    named_losses: Mapping[str, str] = {"mlm_loss": "labels", "sentence_loss": "next_sentence_label"}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        masked_positions: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        num_rows_in_batch: Tensor | int | None = None,
        **inputs: Any,
    ) -> Any:
        """Score the masked tokens and the sentence pairs of a batch.

        Args:
            input_ids: As all up to ``labels`` for ``MaskedHead``.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            inputs_embeds: See there.
            labels: See there.
            next_sentence_label: 0 where the second sentence follows the first, 1 where it does not or comes before it,
                -100 for rows that do not count, shape ``(B,)``; of ALBERT too.
            masked_positions: See there.
            num_items_in_batch: See there.
            num_rows_in_batch: Pairs of the whole optimizer step over all processes; if missing, those here.
            **inputs: See there.

        Returns:
            ``MaskedHeadOutput``; without labels what the stock class gives.

        Raises:
            ValueError: If there are labels, but none of the pairs.
            RuntimeError: As ``MaskedHead``.
        """
        inputs |= _given(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        if labels is None:
            return super().forward(**inputs)
        if next_sentence_label is None:
            raise ValueError(
                f"{type(self).__name__} needs next_sentence_label beside labels; to train on masked tokens alone load "
                "the checkpoint by AutoModelForMaskedLM."
            )
        encoded = self.base_model(**inputs, return_dict=True)
        sentence_logits = self.get_submodule(SENTENCE_HEADS[self.config.model_type])(encoded.pooler_output)  # (B, 2)
        losses = {
            "mlm_loss": self.masked_loss(encoded[0], labels, masked_positions, num_items_in_batch),
            "sentence_loss": mean_cross_entropy(sentence_logits, next_sentence_label.reshape(-1), num_rows_in_batch),
        }
        return MaskedHeadOutput(
            loss=self.join_losses(losses),
            sentence_logits=sentence_logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            **{name: loss.detach() for name, loss in losses.items()},
        )

    def join_losses(self, losses: Mapping[str, Any]) -> Any:
        """Add the two losses, tensors or numbers."""
        return losses["mlm_loss"] + losses["sentence_loss"]


def project_masked_only(model: PreTrainedModel) -> bool:
    """Let a stock masked language model compute its vocabulary projection and loss at masked positions only.

    Afterwards ``forward`` takes ``masked_positions`` and ``num_items_in_batch`` beside what the stock one takes, see
    ``MaskedHead``. Weights, names of weights and config stay, and what is saved is the stock model.

    Args:
        model: A stock ``...ForMaskedLM``, or one with a head for sentence pairs as well (``BertForPreTraining``,
            ``ErnieForPreTraining``, ``AlbertForPreTraining``).

    Returns:
        False, and nothing is changed, if the model is of another family, a decoder, or has a forward of its own.
    """
    stock: Any = type(model)  # mypy takes classes for what cannot be hashed
    if issubclass(stock, MaskedHead):
        return True
    front: Any = _front(model)
    if front is None:
        return False
    model.__class__ = _put_in_front(front, stock)
    return True


def _front(model: PreTrainedModel) -> type[MaskedHead] | None:
    """Choose what goes in front of a stock class; None for what is not known."""
    family, stock = model.config.model_type, type(model)
    is_stock = stock.__module__.startswith("transformers.models.") and "forward" not in vars(model)
    if family not in TRANSFORMS or not is_stock or getattr(model.config, "is_decoder", False):
        return None
    heads = [step for step in TRANSFORMS[family] if isinstance(step, str)]
    if stock.__name__.endswith("ForMaskedLM"):
        return MaskedHead if _has_modules(model, heads) else None
    if stock.__name__.endswith("ForPreTraining") and family in SENTENCE_HEADS:
        return MaskedPairHead if _has_modules(model, [*heads, SENTENCE_HEADS[family]]) else None
    return None


def _has_modules(model: nn.Module, names: Iterable[str]) -> bool:
    known = {name for name, _ in model.named_modules()}
    return known.issuperset(names)


@functools.cache
def _put_in_front(front: Any, stock: Any) -> Any:
    """Make a subclass of both under the stock name, which is what transformers writes into ``config.json``."""
    names = {"__module__": stock.__module__, "__qualname__": stock.__qualname__, "__doc__": stock.__doc__}
    return type(stock.__name__, (front, stock), names)


def _given(
    input_ids: Tensor | None,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    inputs_embeds: Tensor | None,
) -> dict[str, Tensor]:
    """Name what came: not every family takes all of them."""
    named = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": token_type_ids,
        "position_ids": position_ids,
        "inputs_embeds": inputs_embeds,
    }
    return {name: value for name, value in named.items() if value is not None}


def _check_positions(masked_positions: Tensor, labels: Tensor) -> None:
    """Refuse positions of another batch, as after a slice of the rows; on CUDA without a wait, in the kernel."""
    masked = labels.ne(IGNORED_LABEL)
    fit = masked.index_select(0, masked_positions).all() & (masked.sum() == masked_positions.numel())
    message = "masked_positions are not the positions of this batch's labels; leave them out."
    if labels.device.type in ("cpu", "cuda"):
        torch._assert_async(fit, message)
    elif not fit:
        raise RuntimeError(message)
