"""Which kind of label a model learns from."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL


def problem_type_of(model: Any, labels: Tensor | None = None) -> str:
    """Tell the problem type of a bare model as transformers' own heads do.

    Args:
        model: ``config.problem_type`` decides if it is set; else one output means regression.
        labels: Where both leave it open, floating-point labels mean several labels a row.

    Returns:
        One of ``schema.PROBLEM_TYPES``.
    """
    config = getattr(model, "config", None)
    named = getattr(config, "problem_type", None)
    if named is not None:
        return str(named)
    if getattr(config, "num_labels", None) == 1:
        return REGRESSION
    return MULTI_LABEL if labels is not None and labels.is_floating_point() else SINGLE_LABEL
