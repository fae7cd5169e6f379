"""From the flags of a pretraining run to a model with a head for masked tokens, and for sentence pairs if wanted."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from .masked_head import SENTENCE_HEADS
from .pretrained import check_family, load_and_compare, load_config, read_config
from .pretraining_arguments import PretrainingModelArguments

logger = logging.getLogger(__name__)

SPECIAL_TOKENS = ("bos", "cls", "decoder_start", "eos", "mask", "sep")


def load_pretraining_model(
    arguments: PretrainingModelArguments,
    *,
    sentence_pairs: bool,
    vocab_size: int,
    pad_token_id: int,
    notes: list[str] | None = None,
) -> PreTrainedModel:
    """Build or load the stock model that the flags ask for.

    - A checkpoint: its weights and its sizes. Where it has no head for masked tokens it gets one whose decoder is tied
      to the token embeddings; the layer below starts as the family's layers do. (As the identity it starts at a lower
      loss, for a Chinese sentence encoder 9.9 instead of 11.2, and is behind after twenty steps: 8.0, not 7.0.)
    - No ``model_name_or_path``: the family ``model_type`` with its default sizes, or the configuration ``config_name``,
      changed by ``config_overrides``.

    Args:
        arguments: The flags.
        sentence_pairs: Whether pairs of sentences are classified beside.
        vocab_size: Tokens of the tokenizer: rows of the token table of a model from scratch.
        pad_token_id: Padding id of a model from scratch.
        notes: Where lines for the user go; None logs them.

    Returns:
        An ``...ForMaskedLM``, or with sentence pairs an ``...ForPreTraining``; in float32 unless ``arguments.dtype``
        says otherwise.

    Raises:
        ValueError: In one line, if flags contradict one another or the checkpoint, the checkpoint cannot be read or
            lacks weights of the encoder, or the family has no such head.
    """
    found = load_config(arguments) if not arguments.from_scratch else None
    config = found or make_scratch_config(arguments, vocab_size, pad_token_id)
    if found is not None and arguments.model_type:
        check_family(arguments, found, arguments.model_type)
    _check_heads(config, sentence_pairs=sentence_pairs)
    auto = AutoModelForPreTraining if sentence_pairs else AutoModelForMaskedLM
    if found is None:
        return _build(auto, arguments, config)
    model, fresh = load_and_compare(auto, arguments, config)
    for note in _complete(model, fresh, str(arguments.model_name_or_path)):
        logger.info(note) if notes is None else notes.append(note)
    return model


def make_scratch_config(arguments: PretrainingModelArguments, vocab_size: int, pad_token_id: int) -> PreTrainedConfig:
    """Make the configuration of a model from scratch.

    Args:
        arguments: The flags.
        vocab_size: Tokens of the tokenizer.
        pad_token_id: Its padding id.

    Raises:
        ValueError: In one line, if there is no such family or a setting does not fit.
    """
    if arguments.config_name:
        config = read_config(arguments, arguments.config_name)
        if arguments.model_type:
            check_family(arguments, config, arguments.model_type)
    elif arguments.model_type is None:
        raise ValueError("a model from scratch needs --model_type, e.g. bert, or --config_name; or name a checkpoint.")
    else:
        family = arguments.model_type.lower()
        if family not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
            raise ValueError(f"--model_type {family}: {_nearest(family, MODEL_FOR_MASKED_LM_MAPPING_NAMES)}")
        config = AutoConfig.for_model(family)
    config.vocab_size, config.pad_token_id = vocab_size, pad_token_id
    for name in SPECIAL_TOKENS:  # the family's defaults are ids of its own vocabulary
        if getattr(config, f"{name}_token_id", None) is not None:
            setattr(config, f"{name}_token_id", None)
    if arguments.config_overrides:
        override_config(config, arguments.config_overrides)
    return config


def override_config(config: PreTrainedConfig, overrides: str) -> None:
    """Change settings of a configuration, in place.

    Args:
        config: The configuration.
        overrides: ``name=value`` separated by commas, e.g. ``hidden_size=256,num_hidden_layers=4``.

    Raises:
        ValueError: In one line, if a name is unknown or a value does not fit.
    """
    known = {*config.to_dict(), *config.attribute_map} - {"vocab_size"}
    for override in overrides.split(","):
        name, separator, value = (part.strip() for part in override.partition("="))
        if not separator or not value:
            raise ValueError(f"--config_overrides takes name=value separated by commas, got {override!r}.")
        if name == "vocab_size":
            raise ValueError("--config_overrides vocab_size: the tokenizer has as many tokens as it has.")
        if name not in known:
            raise ValueError(
                f"--config_overrides {name}: {config.model_type} has no such setting; {_nearest(name, known)}"
            )
        try:
            config.update_from_string(f"{name}={value}")
            if isinstance(getattr(config, name), int) and getattr(config, name) < 0:
                raise ValueError("must not be negative")
        except (TypeError, ValueError) as error:
            raise ValueError(f"--config_overrides {name}={value}: {_one_line(error)}") from error
    _fit_layer_types(config)
    try:
        config.validate()  # else what contradicts itself is found when the trained model is saved
    except StrictDataclassError as error:
        raise ValueError(f"--config_overrides {overrides}: {_one_line(error)}") from error


def _fit_layer_types(config: PreTrainedConfig) -> None:
    """List the kinds of layers anew where the family derived them from another number of layers."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and len(kinds) != config.num_hidden_layers:
        settings = {name: value for name, value in config.to_dict().items() if name != "layer_types"}
        config.layer_types = type(config).from_dict(settings).layer_types


def _check_heads(config: PreTrainedConfig, *, sentence_pairs: bool) -> None:
    """Refuse a family without the heads that are asked for."""
    family = config.model_type
    remote: Mapping[str, str] = getattr(config, "auto_map", None) or {}
    if sentence_pairs and family not in SENTENCE_HEADS:
        raise ValueError(
            f"a {family} model has no head for sentence pairs; {', '.join(SENTENCE_HEADS)} have: use one of these, or "
            "--sentence_pairs none."
        )
    if family not in MODEL_FOR_MASKED_LM_MAPPING_NAMES and AutoModelForMaskedLM.__name__ not in remote:
        raise ValueError(f"a {family} model has no head for masked tokens, so it cannot be pretrained this way.")


def _build(auto: Any, arguments: PretrainingModelArguments, config: PreTrainedConfig) -> PreTrainedModel:
    dtype = torch.float32 if arguments.dtype in (None, "auto") else getattr(torch, str(arguments.dtype))
    options = {"attn_implementation": arguments.attn_implementation} if arguments.attn_implementation else {}
    try:
        return auto.from_config(config, dtype=dtype, trust_remote_code=arguments.trust_remote_code, **options)
    except (ArithmeticError, ImportError, LookupError, RuntimeError, ValueError) as error:
        raise ValueError(f"no {config.model_type} model can be built in these sizes: {_one_line(error)}") from error


def _complete(model: PreTrainedModel, fresh: Iterable[str], name: str) -> list[str]:
    """Start the heads that a checkpoint lacks, and say so in a line for each."""
    encoder, of_pairs = f"{model.base_model_prefix}.", f"{SENTENCE_HEADS.get(model.config.model_type)}."
    lacking = {weight for weight in fresh if not weight.startswith(encoder)}
    pair_head = {weight for weight in lacking if weight.startswith(of_pairs)}
    masked_head = lacking - pair_head
    notes = []
    if masked_head:
        own = {weight for weight, _ in model.named_parameters() if not weight.startswith((encoder, of_pairs))}
        model.config.tie_word_embeddings = True
        model.tie_weights()
        if own <= masked_head:
            head = (
                f"{name!r} has no head for masked tokens: it gets one, whose decoder is tied to the token embeddings."
            )
        else:
            head = f"the head for masked tokens of {name!r} lacks {', '.join(sorted(masked_head))}, which start fresh."
        notes.append(head)
    if pair_head:
        notes.append(f"{name!r} has no head for sentence pairs: it gets a fresh one.")
    return notes


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known[:20])}, …"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
