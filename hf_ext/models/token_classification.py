"""Words to tags: an encoder, optional layers over the words, softmax or a CRF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModelForTokenClassification
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from .base import ExtPreTrainedModel
from .character_encoder import CharacterEncoder, build_character_encoder, fit_words
from .character_encoder import init_weights as init_character_weights
from .configuration import ExtConfig
from .crf import LinearChainCRF
from .item_mean import divide_by_items
from .linear import GlorotLinear
from .packing import build_rnn, run_packed
from .schema import IGNORED_LABEL
from .softmax_decoder import SoftmaxDecoder
from .tag_schemes import legal_transitions
from .tagging_schema import TaggingSchema
from .word_vectors import WordPlaces

CRF_RANGE = 0.1  # transitions start in U(-0.1, 0.1), as torchcrf's do


@dataclass
class TaggerOutput(ModelOutput):
    """What a tagger gives, in this order; what was not asked for is None and left out.

    Args:
        loss: Scalar, with labels.
        tags: Tag ids, -100 at tokens that are no word's, shape ``(B, T)``; not in training.
        tag_probabilities: Probability of each word's tag, 0 elsewhere, shape ``(B, T)``; if the model
            ``wants_probabilities``.
        chain_probabilities: Probability of each word's tag once the tag before it is given; the product over the words
            of an entity, begun with the first word's ``tag_probabilities``, is the probability of the whole entity.
        sentence_logits: Scores of the S sentence labels, shape ``(B, S)``; of joint models.
        sentence_loss: Scalar for the log, without gradient; of joint models.
        tag_loss: Likewise.
        logits: Scores of the K tags at the words' tokens, zeros elsewhere, shape ``(B, T, K)``.
        hidden_states: The encoder's, if asked for.
        attentions: The encoder's, if asked for.
    """

    loss: Tensor | None = None
    tags: Tensor | None = None
    tag_probabilities: Tensor | None = None
    chain_probabilities: Tensor | None = None
    sentence_logits: Tensor | None = None
    sentence_loss: Tensor | None = None
    tag_loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class ReadWords(NamedTuple):
    """What the encoder and the layers over the words made of a batch; words stand at the front of their rows.

    Args:
        encoded: The encoder's output; element 0 holds the token vectors, shape ``(B, T, H)``.
        attention_mask: 1 for a real token, shape ``(B, T)``.
        places: Where the words stand.
        vectors: Word vectors, zeros behind the words, shape ``(B, T, F)``.
        emissions: Scores of the tags, at least float32, shape ``(B, T, K)``.
    """

    encoded: Any
    attention_mask: Tensor
    places: WordPlaces
    vectors: Tensor
    emissions: Tensor


class ExtForTokenClassification(ExtPreTrainedModel):
    """Tag the words of sentences: encoder, first token of each word, layers over the words, softmax or CRF.

    Words are moved to the front of their rows, so that a CRF or recurrent layers run from word to word, and the
    answers back to the words' tokens (BiLSTM-CRF: Huang et al., 2015, arXiv:1508.01991; characters: Ma and Hovy, 2016,
    arXiv:1603.01354). We differ: any encoder may stand below, and the likelihood leaves out words without a label.

    When: a CRF, recurrent layers or characters are wanted, or the encoder is trained from scratch; otherwise the
    family's stock head does.

    Args:
        config: Which encoder, layers and decoder; its ``tagging_schema`` says which transitions are legal.

    Attributes:
        wants_probabilities: Whether outputs in evaluation mode hold probabilities.
    """

    accepts_loss_kwargs = True  # the loss is divided by num_items_in_batch, so Trainer need not rescale it
    _keep_in_fp32_modules_strict = [*ExtPreTrainedModel._keep_in_fp32_modules_strict, "crf"]  # noqa: RUF012

    def __init__(self, config: ExtConfig) -> None:
        config.tag_decoder = config.tag_decoder or "softmax"
        super().__init__(config)
        self.character_encoder = _build_character_encoder(config)
        width = config.hidden_size
        if self.character_encoder is not None:
            width += self.character_encoder.output_size
        self.head_rnn: nn.LSTM | nn.GRU | None = None
        if config.head_rnn != "none":
            self.head_rnn = build_rnn(
                config.head_rnn,
                width,
                config.head_rnn_hidden_size,
                num_layers=config.head_rnn_layers,
                dropout=config.head_rnn_dropout,
            )
            width = 2 * config.head_rnn_hidden_size
        self.word_width = width
        self.word_dropout = nn.Dropout(config.classifier_dropout)
        self.emission_layer = GlorotLinear(width, config.num_labels)  # type: ignore[arg-type]
        self.crf = _build_crf(config) if config.tag_decoder == "crf" else None
        self.softmax = SoftmaxDecoder()
        self.wants_probabilities = False
        self.post_init()

    @property
    def tag_decoder(self) -> LinearChainCRF | SoftmaxDecoder:
        """What reads tags off the scores."""
        return self.softmax if self.crf is None else self.crf

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
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> TaggerOutput:
        """Tag a batch.

        Args:
            input_ids: Token ids, shape ``(B, T)``.
            attention_mask: 1 for a real token, 0 for padding on either side, shape ``(B, T)``; guessed from
                ``pad_token_id`` if missing.
            token_type_ids: Segment ids, shape ``(B, T)``; dropped for encoders without segments.
            position_ids: Positions, shape ``(B, T)``, for encoders that take them.
            inputs_embeds: Token vectors that the encoder takes instead of ids, shape ``(B, T, E)``.
            word_mask: 1 at the first token of each word, shape ``(B, T)``; every real token is a word if missing.
            char_ids: Characters of the words from left to right, 0 for padding, shape ``(B, W, C)``; for models with a
                character encoder.
            labels: Tag ids at the words' tokens, -100 elsewhere and at words that do not count, shape ``(B, T)``.
            num_items_in_batch: What the summed loss is divided by; Trainer gives the number of labelled words of the
                whole optimizer step over all processes.
            **kwargs: ``output_attentions``, ``output_hidden_states``, ``return_dict``, or what the encoder takes.

        Returns:
            See ``TaggerOutput``.
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
        loss = None if labels is None else self.tag_loss(read, labels, num_items_in_batch)
        return TaggerOutput(loss=loss, **self.answers(read))

    def read_words(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        *,
        word_mask: Tensor | None = None,
        char_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> ReadWords:
        """Run encoder, characters and layers over the words; the arguments are those of ``forward``.

        Raises:
            ValueError: If the model reads characters and none came, or the other way round.
        """
        inputs_embeds = kwargs.get("inputs_embeds")
        if attention_mask is None:
            attention_mask = self.default_attention_mask(input_ids, inputs_embeds)
        encoder_ids = input_ids if inputs_embeds is None else None  # most encoders refuse both at once
        encoded = self.encode(encoder_ids, attention_mask, **kwargs)
        real = attention_mask.bool()
        places = WordPlaces(real if word_mask is None else real & word_mask.bool())
        vectors = places.gather(encoded[0], fill=0.0)  # (B, T, H)
        vectors = self._add_characters(vectors, char_ids)
        if self.head_rnn is not None:
            vectors = run_packed(self.head_rnn, vectors, places.mask)[0]
        emissions = self.emission_layer(self.word_dropout(vectors))
        emissions = emissions.to(torch.promote_types(emissions.dtype, torch.float32))  # (B, T, K)
        return ReadWords(encoded, attention_mask, places, vectors, emissions)

    def tag_loss(self, read: ReadWords, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Give the negative log-likelihood of the labelled words, divided by their number.

        Args:
            read: The batch.
            labels: As ``forward`` takes them.
            num_items_in_batch: The divisor; if missing, the number of labels here.
        """
        ordered = read.places.gather(labels, fill=IGNORED_LABEL)
        total = -self.tag_decoder(read.emissions, ordered, read.places.mask, reduction="sum")
        return divide_by_items(total, labels, num_items_in_batch)

    def answers(self, read: ReadWords) -> dict[str, Any]:
        """Put together what the outputs of all taggers hold, at the words' own tokens."""
        places = read.places
        found: dict[str, Any] = {
            "logits": places.scatter(read.emissions, fill=0.0),
            "hidden_states": getattr(read.encoded, "hidden_states", None),
            "attentions": getattr(read.encoded, "attentions", None),
        }
        if self.training:
            return found
        with torch.no_grad():
            tags, _ = self.tag_decoder.viterbi_decode(read.emissions, places.mask)
            found["tags"] = places.scatter(tags, fill=IGNORED_LABEL)
            if self.wants_probabilities:
                each, given = self.tag_decoder.chain_probabilities(read.emissions, tags, places.mask)
                found["tag_probabilities"] = places.scatter(each.float(), fill=0.0)
                found["chain_probabilities"] = places.scatter(given.float(), fill=0.0)
        return found

    def _add_characters(self, vectors: Tensor, char_ids: Tensor | None) -> Tensor:
        if self.character_encoder is None:
            if char_ids is not None:
                raise ValueError("this model reads no characters, but char_ids came.")
            return vectors
        if char_ids is None:
            raise ValueError("this model reads the characters of each word and needs char_ids.")
        characters = fit_words(self.character_encoder(char_ids), vectors.shape[1])
        return torch.cat([vectors, characters.to(vectors.dtype)], dim=-1)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        init_character_weights(module)
        if isinstance(module, LinearChainCRF):
            for weight in module.parameters():
                init.uniform_(weight, -CRF_RANGE, CRF_RANGE)


def _build_crf(config: ExtConfig) -> LinearChainCRF:
    schema = TaggingSchema.from_config(config)
    legal = None if schema is None else legal_transitions(schema.tags, schema.scheme)
    return LinearChainCRF(
        config.num_labels,  # type: ignore[arg-type]
        batch_first=True,
        legal=legal,
        constrain="none" if legal is None else config.crf_constraints,
    )


def _build_character_encoder(config: ExtConfig) -> CharacterEncoder | None:
    schema = TaggingSchema.from_config(config)
    return build_character_encoder(
        config.character_encoder,
        2 if schema is None else schema.num_characters,
        embedding_size=config.character_embedding_size,
        hidden_size=config.character_hidden_size,
        dropout=config.classifier_dropout,
    )


AutoModelForTokenClassification.register(ExtConfig, ExtForTokenClassification, exist_ok=True)
