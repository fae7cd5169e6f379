"""A resumed run must mean by its outputs and its tokens what the run meant that saved the checkpoint.

Weights fit if their sizes do. With other training data a vocabulary, or a set of labels, may have the same size and
another order; every row of the weights would then belong to something else, and nothing would tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

from transformers import Trainer


def find_other_vocabularies(trainer: Trainer, folder: Path) -> list[str]:
    """Compare labels, tags, known characters and tokens with those of a checkpoint; what it lacks is not compared.

    Args:
        trainer: The trainer that is going to resume.
        folder: The checkpoint.

    Returns:
        A clause for each kind that differs, naming the first difference.
    """
    saved, own = _read(folder / "config.json"), _own_config(trainer)
    saved_schema, own_schema = saved.get("tagging_schema") or {}, own.get("tagging_schema") or {}
    pairs = {
        "label": (_labels(saved), _labels(own)),
        "sentence label": (saved_schema.get("sentence_labels"), own_schema.get("sentence_labels")),
        "character": (saved_schema.get("characters"), own_schema.get("characters")),
        "token": (_tokens(_read(folder / "tokenizer.json")), _tokens(_own_tokenizer(trainer))),
    }
    found = []
    for kind, (there, here) in pairs.items():
        if there and here and list(there) != list(here):
            number = next(i for i, (a, b) in enumerate(zip_longest(there, here)) if a != b)
            names = [repr(values[number]) if number < len(values) else "missing" for values in (there, here)]
            found.append(f"the checkpoint has other {kind}s: number {number} is {names[0]} there and {names[1]} here")
    return found


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _own_config(trainer: Trainer) -> dict[str, Any]:
    config = getattr(trainer.model, "config", None)
    return {} if config is None else config.to_dict()


def _labels(config: dict[str, Any]) -> list[str]:
    return [name for _, name in sorted((int(i), str(name)) for i, name in (config.get("id2label") or {}).items())]


def _own_tokenizer(trainer: Trainer) -> dict[str, Any]:
    backend = getattr(trainer.processing_class, "backend_tokenizer", None)
    return {} if backend is None else json.loads(backend.to_str())


def _tokens(tokenizer: dict[str, Any]) -> list[str]:
    """List the tokens of a ``tokenizer.json`` by their ids."""
    vocabulary = tokenizer.get("model", {}).get("vocab") or ()
    ids: Iterable[tuple[int, str]]
    if isinstance(vocabulary, dict):
        ids = ((number, token) for token, number in vocabulary.items())
    else:  # Unigram: a list of pairs
        ids = enumerate(token for token, _ in vocabulary)
    added = {token["id"]: token["content"] for token in tokenizer.get("added_tokens", ())}
    return [token for _, token in sorted((dict(ids) | added).items())]
