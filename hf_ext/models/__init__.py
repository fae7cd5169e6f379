"""The models and the schemas they share with the data; this folder travels to the Hub by itself."""

from __future__ import annotations

from .configuration import ExtConfig
from .encoders import RecurrentEncoder, RecurrentEncoderConfig
from .joint_classification import ExtForJointClassification
from .schema import LabelSchema, TabularSchema, TaskSchema, TextSchema
from .sequence_classification import ExtForSequenceClassification
from .tagging_schema import TaggingSchema
from .token_classification import ExtForTokenClassification

__all__ = [
    "ExtConfig",
    "ExtForJointClassification",
    "ExtForSequenceClassification",
    "ExtForTokenClassification",
    "LabelSchema",
    "RecurrentEncoder",
    "RecurrentEncoderConfig",
    "TabularSchema",
    "TaggingSchema",
    "TaskSchema",
    "TextSchema",
]
