"""hf_ext: fine-tune encoders with Hugging Face, right, fast and kind.

The names below are imported when they are first used, so that ``import hf_ext`` itself loads neither torch nor
scikit-learn. It makes transformers' auto classes and pipelines know our models, see ``hf_ext.registration``.
"""

from __future__ import annotations

from hf_ext.lazy import lazy_names
from hf_ext.registration import register

__version__ = "0.1.0"

_HOMES = {
    "ADVERSARIES": "training.adversarial",
    "ClassificationCollator": "data.collators",
    "ClassificationData": "data.classification",
    "ClassificationMetric": "evaluation.classification_metric",
    "DataArguments": "data.arguments",
    "EmbeddingAttack": "training.adversarial",
    "EntityCounts": "evaluation.entities",
    "ExtConfig": "models.configuration",
    "ExtForJointClassification": "models.joint_classification",
    "ExtForSequenceClassification": "models.sequence_classification",
    "ExtForTokenClassification": "models.token_classification",
    "ExtTrainer": "training.trainer",
    "ExtTrainingArguments": "training.arguments",
    "LOSSES": "training.losses",
    "LabelSchema": "models.schema",
    "LinearChainCRF": "models.crf",
    "MaskingCollator": "data.pretraining",
    "ModelArguments": "models.arguments",
    "Predictor": "inference.predictor",
    "PretrainingData": "data.pretraining",
    "PretrainingDataArguments": "data.pretraining",
    "PretrainingTrainer": "training.pretraining",
    "RecurrentEncoder": "models.encoders",
    "RecurrentEncoderConfig": "models.encoders",
    "TabularSchema": "models.schema",
    "TaggerArguments": "models.tagger_arguments",
    "TaggingCollator": "data.tagging",
    "TaggingData": "data.tagging",
    "TaggingDataArguments": "data.tagging",
    "TaggingMetric": "evaluation.tagging_metrics",
    "TaggingSchema": "models.tagging_schema",
    "TaskSchema": "models.schema",
    "TextSchema": "models.schema",
    "UserError": "errors",
    "add_tokens": "tokenization.extension",
    "build_compute_metrics": "evaluation.metrics",
    "build_tokenizer": "tokenization.vocabulary",
    "write_predictions": "evaluation.reports",
    "write_tag_predictions": "evaluation.tag_reports",
}

__all__ = sorted(_HOMES)
__getattr__ = lazy_names(__name__, _HOMES)
register()


def __dir__() -> list[str]:
    return __all__
