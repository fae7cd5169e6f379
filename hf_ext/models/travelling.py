"""The code of a model of ours, saved beside it: so it loads where hf_ext is not installed, by ``trust_remote_code``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def code_beside(model: nn.Module) -> Iterator[None]:
    """While it holds, what saves the model also saves the files of this folder that it needs, and says so.

    ``config.json`` then names them under ``auto_map``, for ``AutoConfig`` and the auto class of ``AUTO_CLASSES``. A
    model of transformers' own is saved as ever.

    Args:
        model: The model, without wrappers.
    """
    auto_class, config = AUTO_CLASSES.get(type(model).__name__), getattr(model, "config", None)
    if auto_class is None or config is None:
        yield
        return
    kinds: dict[Any, str] = {type(model): auto_class, type(config): "AutoConfig"}
    before = {kind: kind._auto_class for kind in kinds}
    vars(config).pop("auto_map", None)  # of the folder that it was loaded from
    try:
        for kind, name in kinds.items():
            kind._auto_class = name
        yield
    finally:
        for kind, name in before.items():
            kind._auto_class = name
        vars(config).pop("auto_map", None)  # a later folder gets no code


# of two classes under one name the one that a process knows wins, so a joint model travels under its own
AUTO_CLASSES = {
    "ExtForSequenceClassification": "AutoModelForSequenceClassification",
    "ExtForTokenClassification": "AutoModelForTokenClassification",
    "ExtForJointClassification": "AutoModel",
}
