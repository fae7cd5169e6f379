"""Checkpoints: found, read and loaded, with one line for whatever does not fit."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from .base import align_weights
from .checkpoint_arguments import CheckpointArguments
from .configuration import ExtConfig

logger = logging.getLogger(__name__)

UnpicklingError = torch.serialization.pickle.UnpicklingError  # of torch.load, for a file that is more than tensors

# What may be missing from a checkpoint below the head: BERT's pooling layer, which masked-LM pretraining has not.
POOLING_LAYER = "pooler."


def load_config(arguments: CheckpointArguments) -> PreTrainedConfig | None:
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
    return read_config(arguments, arguments.config_name or arguments.model_name_or_path)


def read_config(arguments: CheckpointArguments, name: str) -> PreTrainedConfig:
    """Read the configuration at a place.

    Args:
        arguments: How the Hub is asked.
        name: A folder, or a name on the Hub.

    Raises:
        ValueError: In one line, if there is no readable configuration at that place.
    """
    _check_place(name)
    try:
        return AutoConfig.from_pretrained(name, **_hub_arguments(arguments), **code_arguments(arguments))
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(_explain(name, error, what="configuration")) from error


def load_weights(model_class: Any, arguments: CheckpointArguments, config: PreTrainedConfig) -> PreTrainedModel:
    """Load the weights of the checkpoint that the flags name; a head that it lacks starts fresh.

    Args:
        model_class: A model class or an ``AutoModelFor...``.
        arguments: The flags.
        config: The configuration that the model gets.

    Raises:
        ValueError: In one line, if the weights cannot be read, are not all of the encoder's, or differ in size.
    """
    model, fresh = load_and_compare(model_class, arguments, config)
    if fresh:
        logger.info("%d weights start fresh: %s", len(fresh), ", ".join(fresh))
    return model


def load_and_compare(
    model_class: Any, arguments: CheckpointArguments, config: PreTrainedConfig
) -> tuple[PreTrainedModel, list[str]]:
    """Load weights as ``load_weights`` does, and give the names of those that start fresh instead of logging them."""
    name = arguments.model_name_or_path
    options = _hub_arguments(arguments)
    if not issubclass(model_class, PreTrainedModel):
        options |= code_arguments(arguments)
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
    except (OSError, ValueError, ImportError, SafetensorError, EOFError, UnpicklingError) as error:
        raise ValueError(_explain(str(name), error, what="weights")) from error
    fresh = _check_loaded(model, info, arguments)
    align_weights(model)
    return model, fresh


def code_arguments(arguments: CheckpointArguments) -> dict[str, Any]:
    """Give what an auto class has to be told beside the revision, so that code of another repository is pinned too."""
    return {"code_revision": arguments.model_revision} if arguments.trust_remote_code else {}


def check_family(arguments: CheckpointArguments, config: PreTrainedConfig, family: str) -> None:
    """Compare the family that a short name such as ``bert_cnn`` begins with to that of the checkpoint.

    Raises:
        ValueError: If they differ.
    """
    found = (config.encoder_config if isinstance(config, ExtConfig) else config).model_type
    if family.replace("-", "_") != found.replace("-", "_"):
        raise ValueError(
            f"--model_type {arguments.model_type} names a {family} encoder, but {arguments.model_name_or_path!r} holds "
            f"a {found} one."
        )


def head_labels(config: Any) -> list[str]:
    """Give the labels of a head in the order of its outputs."""
    return [str(config.id2label[i]) for i in range(config.num_labels)]


def compare_labels(
    arguments: CheckpointArguments, saved: Sequence[str], wanted: Sequence[str], *, kind: str = "labels"
) -> None:
    """Mention a trained head that goes on for labels of other names.

    Args:
        arguments: The flags.
        saved: The labels it was trained for; ``LABEL_0`` and the like say nothing.
        wanted: Those of the data, as many; empty for none.
        kind: What they are called in the message.

    Raises:
        ValueError: If their numbers differ, unless ``ignore_mismatched_sizes`` lets the head start fresh.
    """
    if arguments.ignore_mismatched_sizes:
        return
    if len(saved) != len(wanted):
        raise ValueError(
            f"the head of {arguments.model_name_or_path!r} has {len(saved)} {kind}, but the data has {len(wanted)}; "
            "--ignore_mismatched_sizes starts a fresh head."
        )
    if list(saved) != list(wanted) and not saved[0].startswith("LABEL_"):
        logger.warning(
            "The head of %r was trained for the %s %s and goes on for %s, output by output; "
            "--ignore_mismatched_sizes does not reset a head of the same size.",
            arguments.model_name_or_path,
            kind,
            ", ".join(saved[:10]),
            ", ".join(wanted[:10]),
        )


def _check_place(name: str) -> None:
    """Answer what is certainly wrong at once; asking the Hub for it would take half a minute without a network."""
    if os.path.isdir(name):
        _check_folder(name)
    elif os.path.isfile(name):
        raise ValueError(f"{name!r} is a file; a model is the folder that holds config.json.")
    elif name.startswith((".", "~", os.sep)) or name.count("/") > 1 or not name.strip():
        raise ValueError(f"{name!r} is not a folder here, and cannot be the name of a model on the Hub.")


def _check_folder(name: str) -> None:
    if os.path.isfile(os.path.join(name, "config.json")):
        return
    if os.path.isfile(os.path.join(name, "adapter_config.json")):
        raise ValueError(f"{name!r} holds an adapter of LoRA alone; name the folder of its run, which holds the model.")
    raise ValueError(f"{name!r} has no config.json, so it is not the folder of a saved model.")


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


def _hub_arguments(arguments: CheckpointArguments) -> dict[str, Any]:
    return {
        "cache_dir": arguments.cache_dir,
        "revision": arguments.model_revision,
        "token": arguments.token,
        "trust_remote_code": arguments.trust_remote_code,
    }


def _check_loaded(model: PreTrainedModel, info: Mapping[str, Any], arguments: CheckpointArguments) -> list[str]:
    """Refuse an encoder that is not wholly the checkpoint's; a fresh head is normal, and its weights are named."""
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
    return sorted({*info["missing_keys"], *mismatched})


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Keep back what transformers says of fresh weights; ``_check_loaded`` reads the same facts."""

    def is_other(record: logging.LogRecord) -> bool:
        # without a head there is nothing that could be tied, which transformers takes for a damaged file
        return not any(said in record.getMessage() for said in ("LOAD REPORT", "This checkpoint seem corrupted"))

    reporter = logging.getLogger("transformers.modeling_utils")
    reporter.addFilter(is_other)
    try:
        yield
    finally:
        reporter.removeFilter(is_other)
