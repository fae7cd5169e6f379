"""The tokenizer that was saved with a model."""

from __future__ import annotations

from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hf_ext.errors import UserError
from hf_ext.models.checkpoint_arguments import CheckpointArguments
from hf_ext.models.pretrained import code_arguments


def load_saved_tokenizer(arguments: CheckpointArguments, **options: Any) -> PreTrainedTokenizerBase:
    """Load the tokenizer that is named, or that of the model that is named.

    Args:
        arguments: Which model.
        **options: Passed to ``AutoTokenizer``.

    Raises:
        UserError: If there is none.
    """
    name = arguments.tokenizer_name or arguments.model_name_or_path
    try:
        return AutoTokenizer.from_pretrained(
            name,
            cache_dir=arguments.cache_dir,
            use_fast=arguments.use_fast_tokenizer,
            revision=arguments.model_revision,
            token=arguments.token,
            trust_remote_code=arguments.trust_remote_code,
            **code_arguments(arguments),
            **options,
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"no tokenizer could be loaded from {name!r} ({str(error).strip().splitlines()[0]})",
            fix="check --tokenizer_name and --model_name_or_path",
        ) from error
