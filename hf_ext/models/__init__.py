"""The models and the schemas they share with the data; this folder travels to the Hub by itself."""

from __future__ import annotations

from .configuration import ExtConfig
from .encoders import RecurrentEncoder, RecurrentEncoderConfig
from .schema import LabelSchema, TabularSchema, TaskSchema, TextSchema
from .sequence_classification import ExtForSequenceClassification

__all__ = [
    "ExtConfig",
    "ExtForSequenceClassification",
    "LabelSchema",
    "RecurrentEncoder",
    "RecurrentEncoderConfig",
    "TabularSchema",
    "TaskSchema",
    "TextSchema",
]
