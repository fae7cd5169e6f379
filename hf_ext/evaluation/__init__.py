"""Evaluation: predictions to numbers, tables and files; knows no model and no trainer."""

from hf_ext.evaluation.baseline import tfidf_baseline
from hf_ext.evaluation.classification_metric import ClassificationMetric
from hf_ext.evaluation.entities import EntityCounts
from hf_ext.evaluation.metrics import (
    build_compute_metrics,
    classification_metrics,
    multi_label_metrics,
    regression_metrics,
)
from hf_ext.evaluation.reports import summary_table, write_predictions
from hf_ext.evaluation.tag_reports import write_tag_predictions
from hf_ext.evaluation.tagging_metrics import TaggingMetric

__all__ = [
    "ClassificationMetric",
    "EntityCounts",
    "TaggingMetric",
    "build_compute_metrics",
    "classification_metrics",
    "multi_label_metrics",
    "regression_metrics",
    "summary_table",
    "tfidf_baseline",
    "write_predictions",
    "write_tag_predictions",
]
