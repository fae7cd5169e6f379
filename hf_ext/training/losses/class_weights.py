"""What each label counts in the loss: from its frequency, a list, or a file."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_ext.errors import UserError, did_you_mean
from hf_ext.models.schema import MULTI_LABEL
from hf_ext.training.losses.train_labels import count_labels, read_labels

logger = logging.getLogger(__name__)

FLAG = "--class_weights"
BALANCED = "balanced"


def read_class_weights(given: str, *, names: Sequence[str], problem_type: str, train_dataset: Any) -> Tensor | None:
    """Turn the flag into one weight a label.

    Args:
        given: ``balanced``, numbers in label order with commas between them, JSON {label: weight} or the path of a
            file of it; a label that is not named there weighs 1.
        names: The labels in the order of the model's outputs.
        problem_type: The kind of label; with several a row the weight is that of the positive rows.
        train_dataset: What ``balanced`` counts; None when nothing is trained.

    Returns:
        Float64, shape ``(L,)``; None for ``balanced`` without training rows, with a warning.

    Raises:
        UserError: If the flag or the file does not say a weight for these labels.
    """
    if given == BALANCED:
        if train_dataset is None:
            logger.warning("%s %s: there are no training rows to count, so this loss is unweighted.", FLAG, BALANCED)
            return None
        labels = read_labels(train_dataset, f"{FLAG} {BALANCED}")
        return balanced_weights(*count_labels(labels, problem_type, len(names)), names, problem_type)
    numbers = _as_numbers(given)
    weights = numbers if numbers is not None else _by_name(given, names)
    if len(weights) != len(names):
        raise UserError(
            f"{FLAG} {given}: {len(weights)} weights for {len(names)} labels",
            fix=f"give one a label, in this order: {_listed(names)}",
        )
    for name, weight in zip(names, weights, strict=True):
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(
                f"{FLAG}: the weight of {name!r} is {weight}", fix="give a finite number that is not negative"
            )
    if not any(weights):
        raise UserError(f"{FLAG}: all weights are 0, so there would be nothing to learn", fix="give one above 0")
    return torch.tensor(weights, dtype=torch.float64)


def balanced_weights(counts: np.ndarray, totals: np.ndarray, names: Sequence[str], problem_type: str) -> Tensor:
    """Weigh each label by how rare it is.

    ``n / (L n_c)``, so that all labels weigh the same together and the mean weight of an item is 1 (scikit-learn's
    ``balanced``). With several labels a row: ``n_without / n_with``, so that the rows with a label weigh as much as
    those without.

    Args:
        counts: Items with each label.
        totals: Items that could have it.
        names: The labels.
        problem_type: The kind of label.

    Raises:
        UserError: If a label never comes (or always, where that is a weight of zero).
    """
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if missing:
        raise UserError(
            f"{FLAG} {BALANCED}: no training row has the label {_listed(missing)}",
            fix="give weights as a list or a file, or take the label out of the task",
        )
    if problem_type != MULTI_LABEL:
        return torch.from_numpy(totals / (len(names) * counts))
    always = [name for name, count, total in zip(names, counts, totals, strict=True) if count == total]
    if always:
        raise UserError(
            f"{FLAG} {BALANCED}: every training row has the label {_listed(always)}",
            fix="give weights as a list or a file, or take the label out of the task",
        )
    return torch.from_numpy((totals - counts) / counts)


def _as_numbers(given: str) -> list[float] | None:
    try:
        return [float(part) for part in given.strip().removeprefix("[").removesuffix("]").split(",")]
    except ValueError:
        return None


def _by_name(given: str, names: Sequence[str]) -> list[float]:
    """Read JSON, or a file of it."""
    path = FLAG if given.lstrip().startswith("{") else given
    try:
        found = json.loads(given if path == FLAG else _read_file(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"no JSON ({error})", where=path, fix='write {"label": weight, …}') from error
    if not isinstance(found, Mapping):
        raise UserError(
            f"holds {type(found).__name__}, not labels with weights", where=path, fix='write {"label": 2.5}'
        )
    weights = dict.fromkeys(names, 1.0)
    for name, weight in found.items():
        if name not in weights:
            raise UserError(f"there is no label {name!r}", where=path, fix=did_you_mean(name, names))
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise UserError(f"the weight of {name!r} is {weight!r}", where=path, fix="give a number")
        weights[name] = float(weight)
    return [weights[name] for name in names]


def _read_file(path: str) -> str:
    if not Path(path).is_file():
        raise UserError(
            f"{FLAG} {path}: there is no such file",
            fix=f"write {BALANCED}, numbers in label order (1,2.5,1), JSON, or the path of a JSON file",
        )
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
