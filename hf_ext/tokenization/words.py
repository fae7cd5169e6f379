"""Tokenizers that read words one by one."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase


def put_space_before_words(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Make a byte-level tokenizer (RoBERTa, ModernBERT, GPT-2) read each word as if a blank stood before it.

    Such tokenizers have one token for `` Paris`` and another for ``Paris`` inside of a word. Given words one by one
    they take the second everywhere, which the encoder has hardly ever seen at the start of a word; transformers 5
    does so without a word of warning. The change is saved with the tokenizer. Other tokenizers are left alone.

    Args:
        tokenizer: Any fast tokenizer; changed in place.

    Returns:
        Whether anything was changed.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return False
    written = json.loads(backend.to_str())
    steps = [step for step in _steps(written["pre_tokenizer"]) if not step.get("add_prefix_space", True)]
    if not steps:
        return False
    for step in steps:
        step["add_prefix_space"] = True
    backend.pre_tokenizer = Tokenizer.from_str(json.dumps(written)).pre_tokenizer
    # what families that build their pre-tokenizer themselves read when they are loaded again
    tokenizer.add_prefix_space = True
    tokenizer.init_kwargs["add_prefix_space"] = True
    return True


def _steps(step: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Give the byte-level parts of a pre-tokenizer, which may be a sequence of several."""
    if step is None:
        return []
    if step["type"] == "Sequence":
        return [part for inner in step["pretokenizers"] for part in _steps(inner)]
    return [step] if step["type"] == "ByteLevel" else []
