"""The configuration saved with our models: a nested encoder configuration and what stands on top of it."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from .arguments import ModelArguments, split_integers
from .encoders import RecurrentEncoderConfig
from .schema import TabularSchema, TaskSchema
from .tagger_arguments import TaggerArguments
from .tagging_schema import TaggingSchema

DEFAULT_ALPHA = 0.5  # of a joint tagger: both losses count alike
CLS_STANDS_LAST = frozenset({"xlnet"})  # families that write their summary token at the end of the text
POOLER_SETTINGS = {
    "cls": ("cls_position",),
    "textcnn": ("filter_num", "filter_sizes"),
    "lstm": ("lstm_hidden_size", "lstm_layers", "lstm_dropout"),
    "gru": ("gru_hidden_size", "gru_layers", "gru_dropout"),
}
DECODERS = ("softmax", "crf")
CRF_CONSTRAINTS = ("decode", "train", "none")
TAGGER_FIELDS = (
    *("tag_decoder", "crf_constraints", "head_rnn", "head_rnn_hidden_size", "head_rnn_layers", "head_rnn_dropout"),
    *("character_encoder", "character_embedding_size", "character_hidden_size", "multitask_alpha", "tagging_schema"),
)
# What a tagger gives beside its tags: needed in training, far too much to be gathered over an evaluation.
NOT_GATHERED = ("logits", "hidden_states", "attentions", "sentence_loss", "tag_loss")


class ExtConfig(PreTrainedConfig):
    """Sizes and choices of a model of ours; the encoder keeps a configuration of its own family inside.

    ``vocab_size``, ``pad_token_id`` and ``hidden_size`` are the encoder's: they are read there, and the first two
    are written there, so that a resized vocabulary is found again after saving.

    Args:
        encoder_config: Configuration of the encoder, or the dictionary that it was saved as; a
            ``RecurrentEncoder`` of default size if missing.
        pooler: A name in ``poolers.POOLERS``.
        pooler_settings: Numbers for the pooler, see ``poolers.build_pooler``.
        fusion: A name in ``fusion.FUSIONS``; used where the schema has table columns.
        category_embedding: ``one_hot`` or ``learned``.
        category_embedding_size: Width of a learned category vector.
        classifier_hidden_sizes: Widths of the hidden layers between the pooled vector and the logits.
        classifier_dropout: Dropout before every layer of the classifier.
        ngram_sizes: Sizes (tokens) of the n-grams that a linear term adds to the logits, see ``wide.NgramLogits``;
            empty for none. Kept in ascending order, each once.
        ngram_buckets: Rows that all n-grams share.
        task_schema: What ``TaskSchema.write_into`` stores.
        tag_decoder: How a tagger reads tags off its scores, ``softmax`` or ``crf``; None for models that tag nothing.
            (Not ``decoder``: transformers takes that for the configuration of a decoder.)
        crf_constraints: Where a CRF leaves out transitions that the tag scheme forbids: ``decode``, ``train`` (and
            decoding), ``none``.
        head_rnn: Bidirectional layers over the words of a tagger: ``none``, ``lstm`` or ``gru``.
        head_rnn_hidden_size: Their units in each direction.
        head_rnn_layers: How many are stacked.
        head_rnn_dropout: Dropout between them.
        character_encoder: A name in ``character_encoder.CHARACTER_ENCODERS``, or ``none``.
        character_embedding_size: Width of a character vector.
        character_hidden_size: Filters, or units in each direction.
        multitask_alpha: Weight of the sentence loss of a joint tagger; the tags' is 1 minus this.
        tagging_schema: What ``TaggingSchema.write_into`` stores.
    """

    model_type = "hf_ext"
    sub_configs = {"encoder_config": AutoConfig}  # noqa: RUF012 - the parent declares it

    encoder_config: Any = None  # always a PreTrainedConfig once built
    pooler: str = "cls"
    pooler_settings: dict[str, Any] = field(default_factory=dict)
    fusion: str = "concat"
    category_embedding: str = "one_hot"
    category_embedding_size: int = 16
    classifier_hidden_sizes: list[int] = field(default_factory=list)
    classifier_dropout: float = 0.1
    ngram_sizes: list[int] = field(default_factory=list)
    ngram_buckets: int = 300000
    task_schema: dict[str, Any] | None = None

    tag_decoder: str | None = None
    crf_constraints: str = "decode"
    head_rnn: str = "none"
    head_rnn_hidden_size: int = 256
    head_rnn_layers: int = 1
    head_rnn_dropout: float = 0.0
    character_encoder: str = "none"
    character_embedding_size: int = 30
    character_hidden_size: int = 30
    multitask_alpha: float | None = None
    tagging_schema: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Build the nested configuration; a task without a type is regression if it has one label, else single."""
        self.encoder_config = _build_encoder_config(self.encoder_config)
        self.pooler_settings = dict(self.pooler_settings)
        self.classifier_hidden_sizes = list(self.classifier_hidden_sizes)
        self.ngram_sizes = sorted(set(self.ngram_sizes))
        super().__post_init__(**kwargs)
        self._check_tagger()
        if self.problem_type is None:
            self.problem_type = "regression" if self.num_labels == 1 else "single_label_classification"

    @classmethod
    def from_arguments(
        cls, arguments: ModelArguments, encoder_config: PreTrainedConfig, schema: TaskSchema
    ) -> ExtConfig:
        """Put an encoder, the flags of a run and the task together.

        Args:
            arguments: The flags; an unset pooler is ``cls``, unset n-gram sizes are none.
            encoder_config: The encoder's configuration; it is kept, not copied.
            schema: Labels and columns of the task.
        """
        pooler = arguments.pooler or "cls"
        config = cls(
            encoder_config=encoder_config,
            pooler=pooler,
            pooler_settings=_pooler_settings(pooler, arguments, encoder_config.model_type),
            fusion=arguments.fusion,
            category_embedding=arguments.category_embedding,
            category_embedding_size=arguments.category_embedding_size,
            classifier_hidden_sizes=split_integers(arguments.classifier_hidden_sizes, "--classifier_hidden_sizes"),
            classifier_dropout=arguments.classifier_dropout,
            ngram_sizes=split_integers(arguments.ngram_sizes or "", "--ngram_sizes"),
            ngram_buckets=arguments.ngram_buckets,
        )
        schema.write_into(config)
        return config

    @classmethod
    def for_tagging(
        cls, arguments: TaggerArguments, encoder_config: PreTrainedConfig, schema: TaggingSchema
    ) -> ExtConfig:
        """Put an encoder, the flags of a run and the tags together.

        Args:
            arguments: The flags; an unset pooler is ``cls``, an unset decoder ``softmax``.
            encoder_config: The encoder's configuration; it is kept, not copied.
            schema: Tags and sentence labels.
        """
        pooler = arguments.pooler or "cls"
        config = cls(
            encoder_config=encoder_config,
            pooler=pooler,
            pooler_settings=_pooler_settings(pooler, arguments, encoder_config.model_type),
            classifier_dropout=arguments.classifier_dropout,
            tag_decoder=arguments.decoder or "softmax",
            crf_constraints=arguments.crf_constraints or "decode",
            head_rnn=arguments.head_rnn or "none",
            head_rnn_hidden_size=arguments.head_rnn_hidden_size,
            head_rnn_layers=arguments.head_rnn_layers,
            head_rnn_dropout=arguments.head_rnn_dropout,
            character_encoder=arguments.character_encoder or "none",
            character_embedding_size=arguments.character_embedding_size,
            character_hidden_size=arguments.character_hidden_size,
            multitask_alpha=DEFAULT_ALPHA if schema.sentence_labels else None,
        )
        schema.write_into(config)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Give what is stored; models that tag nothing store nothing about tagging."""
        stored = super().to_dict()
        left_out = TAGGER_FIELDS if self.tag_decoder is None else ()
        return {name: value for name, value in stored.items() if name not in left_out}

    @property
    def keys_to_ignore_at_inference(self) -> list[str]:
        """The outputs that Trainer shall not gather; read by it, and not stored."""
        return ["past_key_values"] if self.tag_decoder is None else list(NOT_GATHERED)

    @property
    def tabular(self) -> TabularSchema:
        """The table columns; false if there are none."""
        schema = TaskSchema.from_config(self)
        return TabularSchema() if schema is None else schema.columns

    def _check_tagger(self) -> None:
        if self.tag_decoder not in (None, *DECODERS):
            raise ValueError(f"tag_decoder must be one of {', '.join(DECODERS)}; got {self.tag_decoder!r}.")
        if self.crf_constraints not in CRF_CONSTRAINTS:
            raise ValueError(
                f"crf_constraints must be one of {', '.join(CRF_CONSTRAINTS)}; got {self.crf_constraints!r}."
            )

    @property
    def hidden_size(self) -> int:
        """Width of the encoder's token vectors."""
        return self.encoder_config.hidden_size

    @property
    def vocab_size(self) -> int:
        """Rows of the encoder's token table."""
        return self.encoder_config.vocab_size

    @vocab_size.setter
    def vocab_size(self, value: int) -> None:
        self.encoder_config.vocab_size = value

    @property
    def pad_token_id(self) -> int | None:
        """The encoder's padding token."""
        return getattr(self.encoder_config, "pad_token_id", None)

    @pad_token_id.setter
    def pad_token_id(self, value: int | None) -> None:
        self.encoder_config.pad_token_id = value


def _build_encoder_config(stored: Any) -> PreTrainedConfig:
    if stored is None:
        return RecurrentEncoderConfig()
    is_config = isinstance(stored, PreTrainedConfig)
    model_type = stored.model_type if is_config else stored.get("model_type")
    if model_type not in CONFIG_MAPPING:
        raise ValueError(
            f"the encoder's model_type {model_type!r} is not one that transformers knows; a pooler or table columns "
            "need an encoder of transformers itself, without code from the Hub."
        )
    return stored if is_config else AutoConfig.for_model(**stored)


def _pooler_settings(pooler: str, arguments: ModelArguments | TaggerArguments, encoder_type: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {name: getattr(arguments, name, None) for name in POOLER_SETTINGS.get(pooler, ())}
    if "filter_sizes" in chosen:
        chosen["filter_sizes"] = split_integers(chosen["filter_sizes"], "--filter_sizes")
    if "cls_position" in chosen:
        chosen["cls_position"] = "last" if encoder_type in CLS_STANDS_LAST else "first"
    return chosen


AutoConfig.register(ExtConfig.model_type, ExtConfig, exist_ok=True)
