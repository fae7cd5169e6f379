"""From the flags of a run to a model: from scratch, a stock head, or an encoder under a head of ours."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from .arguments import POOLER_ALIASES, ModelArguments, split_integers
from .base import align_weights
from .configuration import ExtConfig
from .encoders import RecurrentEncoderConfig
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
# What may be missing from a checkpoint below the head: BERT's pooling layer, which masked-LM pretraining has not.
POOLING_LAYER = "pooler."


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
        return _load(ExtForSequenceClassification, arguments, config)
    _compare_labels(arguments, config, schema)
    schema.write_into(config)
    return _load(AutoModelForSequenceClassification, arguments, config)


def load_config(arguments: ModelArguments) -> PreTrainedConfig | None:
    """Read the configuration of the model that the flags name.

    Returns:
        The configuration, or None for a model from scratch.

    Raises:
        ValueError: In one line, if there is no readable configuration at that place.
    """
    if arguments.model_name_or_path is None:
        if arguments.config_name:
            raise ValueError("--config_name says nothing without --model_name_or_path, which is missing.")
        return None
    name = arguments.config_name or arguments.model_name_or_path
    _check_place(name)
    try:
        return AutoConfig.from_pretrained(name, **_hub_arguments(arguments))
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(_explain(name, error, what="configuration")) from error


def _check_place(name: str) -> None:
    """Answer what is certainly wrong at once; asking the Hub for it would take half a minute without a network."""
    if os.path.isdir(name):
        if not os.path.isfile(os.path.join(name, "config.json")):
            raise ValueError(f"{name!r} has no config.json, so it is not the folder of a saved model.")
    elif os.path.isfile(name):
        raise ValueError(f"{name!r} is a file; a model is the folder that holds config.json.")
    elif name.startswith((".", "~", os.sep)) or name.count("/") > 1 or not name.strip():
        raise ValueError(f"{name!r} is not a folder here, and cannot be the name of a model on the Hub.")


def _explain(name: str, error: Exception, *, what: str) -> str:
    """Turn what transformers says in a paragraph into one line that names the place."""
    if os.path.isdir(name):
        reason = " ".join(str(error).split()) or type(error).__name__
        return f"the {what} in {name!r} cannot be loaded: {reason}"
    cause = error.__cause__
    if isinstance(cause, GatedRepoError):
        return f"{name!r} on the Hub asks for consent first: accept its terms there, then log in with `hf auth login`."
    if isinstance(cause, (RepositoryNotFoundError, HFValidationError)):
        return f"{name!r} is not a folder here, and the Hub has no such model (a private one needs `hf auth login`)."
    if isinstance(cause, RevisionNotFoundError):
        return f"{name!r} on the Hub has no such --model_revision."
    if "connect" in str(error) or "offline" in str(error):
        return f"{name!r} is not a folder here and the Hub cannot be reached."
    return f"the {what} of {name!r} cannot be loaded: {' '.join(str(error).split())}"


def _hub_arguments(arguments: ModelArguments) -> dict[str, Any]:
    return {
        "cache_dir": arguments.cache_dir,
        "revision": arguments.model_revision,
        "token": arguments.token,
        "trust_remote_code": arguments.trust_remote_code,
    }


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
    if family.replace("-", "_") != encoder_type.replace("-", "_"):
        raise ValueError(
            f"--model_type {arguments.model_type} names a {family} encoder, but {arguments.model_name_or_path!r} holds "
            f"a {encoder_type} one."
        )
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
    if arguments.dtype not in (None, "auto", "float32"):
        raise ValueError(f"a model from scratch is built in float32, not {arguments.dtype}; --bf16 trains it faster.")
    recipe = _scratch_recipe(arguments)
    is_default = recipe == SCRATCH_MODELS[DEFAULT_SCRATCH_MODEL]
    logger.info(
        "No pretrained model is named: training %s from scratch (rnn %s, pooler %s, n-grams %s).",
        arguments.model_type or (DEFAULT_SCRATCH_MODEL if is_default else "a model"),
        recipe.rnn,
        recipe.pooler,
        recipe.ngram_sizes or "none",
    )
    encoder_config = RecurrentEncoderConfig(
        vocab_size=vocab_size,
        pad_token_id=pad_token_id,
        embedding_size=arguments.embedding_size,
        embedding_dropout=arguments.embedding_dropout,
        rnn=recipe.rnn,
        rnn_hidden_size=arguments.rnn_hidden_size,
        rnn_layers=arguments.rnn_layers,
        rnn_dropout=arguments.rnn_dropout,
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
    return _load(ExtForSequenceClassification, arguments, config)


def _compare_labels(arguments: ModelArguments, config: PreTrainedConfig, schema: TaskSchema) -> None:
    """Stop a trained head with another number of labels; mention one whose labels have other names."""
    if not has_classifier(config) or arguments.ignore_mismatched_sizes:
        return
    if config.num_labels != schema.labels.num_labels:
        raise ValueError(_label_counts(arguments, config.num_labels, schema.labels.num_labels))
    names = list((config.id2label or {}).values())
    if schema.labels.names and names != list(schema.labels.names) and not names[0].startswith("LABEL_"):
        logger.warning(
            "The head of %r was trained for the labels %s and goes on for %s, output by output; "
            "--ignore_mismatched_sizes does not reset a head of the same size.",
            arguments.model_name_or_path,
            ", ".join(names[:10]),
            ", ".join(schema.labels.names[:10]),
        )


def _label_counts(arguments: ModelArguments, saved: int | None, wanted: int) -> str:
    return (
        f"the head of {arguments.model_name_or_path!r} has {saved} labels, but the data has {wanted}; "
        "--ignore_mismatched_sizes starts a fresh head."
    )


def _load(model_class: Any, arguments: ModelArguments, config: PreTrainedConfig) -> PreTrainedModel:
    name = arguments.model_name_or_path
    options = _hub_arguments(arguments)
    if arguments.attn_implementation:
        options["attn_implementation"] = arguments.attn_implementation
    try:
        with _without_load_report():
            model, info = model_class.from_pretrained(
                name,
                config=config,
                dtype=arguments.dtype or "float32",
                ignore_mismatched_sizes=True,  # so that we say in one line what does not fit
                output_loading_info=True,
                **options,
            )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ValueError(_explain(str(name), error, what="weights")) from error
    _check_loaded(model, info, arguments)
    align_weights(model)
    return model


def _check_loaded(model: PreTrainedModel, info: Mapping[str, Any], arguments: ModelArguments) -> None:
    """Refuse an encoder that is not wholly the checkpoint's; a fresh head is normal."""
    prefix = f"{model.base_model_prefix}."
    mismatched = {key: (tuple(saved), tuple(wanted)) for key, saved, wanted in info["mismatched_keys"]}
    lacking = [
        key
        for key in sorted({*info["missing_keys"], *mismatched})
        if key.startswith(prefix) and not key.startswith(prefix + POOLING_LAYER)
    ]
    if lacking:
        raise ValueError(
            f"{arguments.model_name_or_path!r} lacks {len(lacking)} weights of its {model.config.model_type} encoder "
            f"in the size that the configuration says, e.g. {lacking[0]}."
        )
    if mismatched and not arguments.ignore_mismatched_sizes:
        key, (saved, wanted) = next(iter(mismatched.items()))
        raise ValueError(
            f"{key} has shape {saved} in {arguments.model_name_or_path!r}, but this run needs {wanted}; "
            "--ignore_mismatched_sizes starts it fresh."
        )
    fresh = sorted({*info["missing_keys"], *mismatched})
    if fresh:
        logger.info("%d weights start fresh: %s", len(fresh), ", ".join(fresh))


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Keep back transformers' table of fresh weights; ``_check_loaded`` reads the same facts."""

    def is_other(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    reporter = logging.getLogger("transformers.modeling_utils")
    reporter.addFilter(is_other)
    try:
        yield
    finally:
        reporter.removeFilter(is_other)
