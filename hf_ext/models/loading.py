"""From the flags of a run to a model: from scratch, a stock head, or an encoder under a head of ours."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from .arguments import POOLER_ALIASES, ModelArguments, split_integers
from .configuration import ExtConfig
from .encoders import RecurrentEncoderConfig
from .pretrained import check_family, compare_labels, head_labels, load_config, load_weights
from .schema import SINGLE_LABEL, TaskSchema, has_classifier
from .sequence_classification import ExtForSequenceClassification

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScratchRecipe:
    """What a short name for a from-scratch model stands for."""

    rnn: str
    pooler: str
    ngram_sizes: str = ""


SCRATCH_MODELS = {
    "wide_textcnn": ScratchRecipe("none", "textcnn", "1,2,3"),
    "textcnn": ScratchRecipe("none", "textcnn"),
    "bilstm": ScratchRecipe("lstm", "max"),
    "bigru": ScratchRecipe("gru", "max"),
}
DEFAULT_SCRATCH_MODEL = "wide_textcnn"


def load_sequence_classifier(
    arguments: ModelArguments, schema: TaskSchema, *, vocab_size: int | None = None, pad_token_id: int = 0
) -> PreTrainedModel:
    """Build or load the classifier that the flags ask for; the task's schema is written into its config.

    - No ``model_name_or_path``: ``ExtForSequenceClassification`` over a fresh ``RecurrentEncoder``. Where no flag
      says more it is ``DEFAULT_SCRATCH_MODEL``; above recurrent layers the pooler is ``max``, without n-grams.
    - A folder saved by ``ExtForSequenceClassification``: that model, with its own pooler, n-grams and columns.
    - A pooler or n-grams are asked for, or the schema has table columns: ``ExtForSequenceClassification`` over the
      checkpoint's encoder. Without a pooler it is ``cls``; for sentence encoders ``mean`` is better.
    - Otherwise the family's stock head.

    Args:
        arguments: The flags.
        schema: Labels and columns of the task.
        vocab_size: Rows of the token table of a model from scratch.
        pad_token_id: Padding id of a model from scratch.

    Returns:
        The model, in float32 unless ``arguments.dtype`` says otherwise.

    Raises:
        ValueError: If flags contradict one another or the checkpoint, the checkpoint cannot be read or lacks
            weights of the encoder, or its head has another number of labels.
    """
    if schema.labels.problem_type == SINGLE_LABEL and schema.labels.num_labels < 2:
        raise ValueError(f"a classifier needs at least two labels, got {list(schema.labels.names)}.")
    config = load_config(arguments)
    if config is None:
        if vocab_size is None:
            raise ValueError("a model from scratch needs vocab_size, the number of tokens of its tokenizer.")
        return _build_from_scratch(arguments, schema, vocab_size, pad_token_id)
    arguments = _resolve_model_type(arguments, config)
    if isinstance(config, ExtConfig):
        return _load_saved(arguments, config, schema)
    if arguments.pooler or _ngram_sizes(arguments) or schema.columns:
        config = ExtConfig.from_arguments(arguments, config, schema)
        return load_weights(ExtForSequenceClassification, arguments, config)
    _compare_labels(arguments, config, schema)
    schema.write_into(config)
    return load_weights(AutoModelForSequenceClassification, arguments, config)


def _resolve_model_type(arguments: ModelArguments, config: PreTrainedConfig) -> ModelArguments:
    """Check a short name such as ``bert_cnn`` against the checkpoint and read the pooler from it."""
    if arguments.model_type is None:
        return arguments
    encoder_type = (config.encoder_config if isinstance(config, ExtConfig) else config).model_type
    if arguments.model_type in SCRATCH_MODELS:
        if encoder_type == RecurrentEncoderConfig.model_type:
            return arguments
        raise ValueError(
            f"--model_type {arguments.model_type} is trained from scratch: leave --model_name_or_path away, or choose "
            f"the pooler above {arguments.model_name_or_path!r} by --pooler."
        )
    family, suffix = _split_alias(arguments.model_type)
    check_family(arguments, config, family)
    pooler = POOLER_ALIASES[suffix] if suffix else arguments.pooler
    if arguments.pooler not in (None, pooler):
        raise ValueError(f"--model_type {arguments.model_type} and --pooler {arguments.pooler} contradict each other.")
    return replace(arguments, pooler=pooler)


def _split_alias(model_type: str) -> tuple[str, str]:
    family, _, suffix = model_type.lower().rpartition("_")
    return (family, suffix) if family and suffix in POOLER_ALIASES else (model_type.lower(), "")


def _build_from_scratch(
    arguments: ModelArguments, schema: TaskSchema, vocab_size: int, pad_token_id: int
) -> PreTrainedModel:
    recipe = _scratch_recipe(arguments)
    is_default = recipe == SCRATCH_MODELS[DEFAULT_SCRATCH_MODEL]
    logger.info(
        "No pretrained model is named: training %s from scratch (rnn %s, pooler %s, n-grams %s).",
        arguments.model_type or (DEFAULT_SCRATCH_MODEL if is_default else "a model"),
        recipe.rnn,
        recipe.pooler,
        recipe.ngram_sizes or "none",
    )
    encoder_config = RecurrentEncoderConfig.from_arguments(
        arguments, rnn=recipe.rnn, vocab_size=vocab_size, pad_token_id=pad_token_id
    )
    arguments = replace(arguments, pooler=recipe.pooler, ngram_sizes=recipe.ngram_sizes)
    return ExtForSequenceClassification(ExtConfig.from_arguments(arguments, encoder_config, schema))


def _scratch_recipe(arguments: ModelArguments) -> ScratchRecipe:
    """Choose the recurrent layers, the pooler and the n-grams of a model from scratch."""
    recipe = _named_recipe(arguments)
    ngram_sizes = recipe.ngram_sizes if arguments.ngram_sizes is None else arguments.ngram_sizes
    return replace(recipe, pooler=arguments.pooler or recipe.pooler, ngram_sizes=ngram_sizes)


def _named_recipe(arguments: ModelArguments) -> ScratchRecipe:
    if arguments.model_type is None:
        if arguments.rnn != "none" or arguments.pooler:
            return ScratchRecipe(arguments.rnn, arguments.pooler or "max")
        return SCRATCH_MODELS[DEFAULT_SCRATCH_MODEL]
    recipe = SCRATCH_MODELS.get(arguments.model_type)
    if recipe is None:
        raise ValueError(
            f"--model_type {arguments.model_type} needs --model_name_or_path; from scratch there are "
            f"{', '.join(SCRATCH_MODELS)}."
        )
    if arguments.rnn not in ("none", recipe.rnn):
        raise ValueError(f"--model_type {arguments.model_type} and --rnn {arguments.rnn} contradict each other.")
    return recipe


def _ngram_sizes(arguments: ModelArguments) -> list[int]:
    return sorted(set(split_integers(arguments.ngram_sizes or "", "--ngram_sizes")))


def _load_saved(arguments: ModelArguments, config: ExtConfig, schema: TaskSchema) -> PreTrainedModel:
    """Load a model of ours; its columns are those it was trained with."""
    if arguments.pooler not in (None, config.pooler):
        raise ValueError(
            f"{arguments.model_name_or_path!r} was trained with pooler {config.pooler}, not {arguments.pooler}; leave "
            "--pooler away, or start from the encoder again."
        )
    if arguments.ngram_sizes is not None and _ngram_sizes(arguments) != config.ngram_sizes:
        saved, wanted = (",".join(map(str, sizes)) or "none" for sizes in (config.ngram_sizes, _ngram_sizes(arguments)))
        raise ValueError(
            f"{arguments.model_name_or_path!r} was trained with n-grams of the sizes {saved}, not {wanted}; leave "
            "--ngram_sizes away, or start from the encoder again."
        )
    if config.tabular != schema.columns:
        raise ValueError(
            f"the table columns of this run are not those that {arguments.model_name_or_path!r} was trained with; "
            "reuse the column schema in its config.json."
        )
    _compare_labels(arguments, config, schema)
    schema.write_into(config)
    return load_weights(ExtForSequenceClassification, arguments, config)


def _compare_labels(arguments: ModelArguments, config: PreTrainedConfig, schema: TaskSchema) -> None:
    """Compare what the checkpoint's head was trained for with the labels of the data, if it has a head."""
    if not has_classifier(config):
        return
    saved = head_labels(config)
    # a regression has one output, whatever it is called
    compare_labels(arguments, saved, schema.labels.names or saved[: schema.labels.num_labels])
