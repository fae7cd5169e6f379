"""Evaluation: predictions to numbers, tables and files; knows no model and no trainer."""

from hf_ext.evaluation.baseline import tfidf_baseline
from hf_ext.evaluation.metrics import (
    build_compute_metrics,
    classification_metrics,
    multi_label_metrics,
    regression_metrics,
)
from hf_ext.evaluation.reports import summary_table, write_predictions

__all__ = [
    "build_compute_metrics",
    "classification_metrics",
    "multi_label_metrics",
    "regression_metrics",
    "summary_table",
    "tfidf_baseline",
    "write_predictions",
]
