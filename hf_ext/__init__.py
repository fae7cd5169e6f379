"""hf_ext: fine-tune encoders with Hugging Face, right, fast and kind.

The names below are imported when they are first used, so that ``import hf_ext`` itself loads neither torch nor
scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ADVERSARIES": "hf_ext.training.adversarial",
    "ClassificationCollator": "hf_ext.data.collators",
    "ClassificationData": "hf_ext.data.classification",
    "DataArguments": "hf_ext.data.arguments",
    "EmbeddingAttack": "hf_ext.training.adversarial",
    "EntityCounts": "hf_ext.evaluation.entities",
    "ExtConfig": "hf_ext.models.configuration",
    "ExtForJointClassification": "hf_ext.models.joint_classification",
    "ExtForSequenceClassification": "hf_ext.models.sequence_classification",
    "ExtForTokenClassification": "hf_ext.models.token_classification",
    "ExtTrainer": "hf_ext.training.trainer",
    "ExtTrainingArguments": "hf_ext.training.arguments",
    "LOSSES": "hf_ext.training.losses",
    "LabelSchema": "hf_ext.models.schema",
    "LinearChainCRF": "hf_ext.models.crf",
    "MaskingCollator": "hf_ext.data.pretraining",
    "ModelArguments": "hf_ext.models.arguments",
    "PretrainingData": "hf_ext.data.pretraining",
    "PretrainingDataArguments": "hf_ext.data.pretraining",
    "PretrainingTrainer": "hf_ext.training.pretraining",
    "RecurrentEncoder": "hf_ext.models.encoders",
    "RecurrentEncoderConfig": "hf_ext.models.encoders",
    "TabularSchema": "hf_ext.models.schema",
    "TaggerArguments": "hf_ext.models.tagger_arguments",
    "TaggingCollator": "hf_ext.data.tagging",
    "TaggingData": "hf_ext.data.tagging",
    "TaggingDataArguments": "hf_ext.data.tagging",
    "TaggingMetric": "hf_ext.evaluation.tagging_metrics",
    "TaggingSchema": "hf_ext.models.tagging_schema",
    "TaskSchema": "hf_ext.models.schema",
    "TextSchema": "hf_ext.models.schema",
    "UserError": "hf_ext.errors",
    "add_tokens": "hf_ext.tokenization.extension",
    "build_compute_metrics": "hf_ext.evaluation.metrics",
    "build_tokenizer": "hf_ext.tokenization.vocabulary",
    "write_predictions": "hf_ext.evaluation.reports",
    "write_tag_predictions": "hf_ext.evaluation.tag_reports",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hf_ext' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
