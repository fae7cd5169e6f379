"""The configuration saved with our models: a nested encoder configuration and what stands on top of it."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from .arguments import ModelArguments, split_integers
from .encoders import RecurrentEncoderConfig
from .schema import TabularSchema, TaskSchema

CLS_STANDS_LAST = frozenset({"xlnet"})  # families that write their summary token at the end of the text
POOLER_SETTINGS = {
    "cls": ("cls_position",),
    "textcnn": ("filter_num", "filter_sizes"),
    "lstm": ("lstm_hidden_size", "lstm_layers", "lstm_dropout"),
    "gru": ("gru_hidden_size", "gru_layers", "gru_dropout"),
}


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

    def __post_init__(self, **kwargs: Any) -> None:
        """Build the nested configuration; a task without a type is regression if it has one label, else single."""
        self.encoder_config = _build_encoder_config(self.encoder_config)
        self.pooler_settings = dict(self.pooler_settings)
        self.classifier_hidden_sizes = list(self.classifier_hidden_sizes)
        self.ngram_sizes = sorted(set(self.ngram_sizes))
        super().__post_init__(**kwargs)
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

    @property
    def tabular(self) -> TabularSchema:
        """The table columns; false if there are none."""
        schema = TaskSchema.from_config(self)
        return TabularSchema() if schema is None else schema.columns

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


def _pooler_settings(pooler: str, arguments: ModelArguments, encoder_type: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {name: getattr(arguments, name, None) for name in POOLER_SETTINGS.get(pooler, ())}
    if "filter_sizes" in chosen:
        chosen["filter_sizes"] = split_integers(arguments.filter_sizes, "--filter_sizes")
    if "cls_position" in chosen:
        chosen["cls_position"] = "last" if encoder_type in CLS_STANDS_LAST else "first"
    return chosen


AutoConfig.register(ExtConfig.model_type, ExtConfig, exist_ok=True)
