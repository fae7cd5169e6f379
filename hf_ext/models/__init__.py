"""The models and the schemas they share with the data; this folder travels to the Hub by itself.

Names are imported on first use: flags and schemas can be had without torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "ExtConfig": "configuration",
    "ExtForJointClassification": "joint_classification",
    "ExtForSequenceClassification": "sequence_classification",
    "ExtForTokenClassification": "token_classification",
    "LabelSchema": "schema",
    "RecurrentEncoder": "encoders",
    "RecurrentEncoderConfig": "encoders",
    "TabularSchema": "schema",
    "TaggingSchema": "tagging_schema",
    "TaskSchema": "schema",
    "TextSchema": "schema",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
