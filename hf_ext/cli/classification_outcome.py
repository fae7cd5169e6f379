"""What a classification run leaves behind: predictions with probabilities, and the TF-IDF floor beside the scores."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Sized
from typing import Any, ClassVar

import numpy as np
from transformers import Trainer

from hf_ext.cli.faults import blame_run
from hf_ext.cli.outcome import Outcome
from hf_ext.data.checks.classification import inspect_classification
from hf_ext.data.checks.report import DataReport
from hf_ext.data.classification import ClassificationData
from hf_ext.evaluation.baseline import tfidf_baseline
from hf_ext.evaluation.metrics import first_array, score
from hf_ext.evaluation.reports import write_predictions
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL

logger = logging.getLogger(__name__)

MAIN_METRICS = {
    SINGLE_LABEL: ("f1_weighted", "f1_macro", "accuracy"),
    MULTI_LABEL: ("f1_weighted", "f1_macro", "f1_micro"),
    REGRESSION: ("spearman", "pearson", "mse"),
}


class ClassificationOutcome(Outcome[ClassificationData]):
    """The last step of ``run_classification.py``."""

    task = "text-classification"
    titles: ClassVar[dict[str, str]] = {
        "eval": "validation",
        "baseline_eval": "validation: TF-IDF floor",
        "predict": "test",
        "baseline_predict": "test: TF-IDF floor",
    }

    def predict(self, trainer: Trainer, data: ClassificationData, features: Any) -> None:
        """Predict the test rows in input order, write them, and score those that have a label."""
        with blame_run():
            output = trainer.predict(features, metric_key_prefix="predict")
        logits = first_array(output.predictions)
        metrics = {**(output.metrics or {}), "predict_samples": len(logits)}
        labels = data.labels("test")
        known = [i for i, label in enumerate(labels) if label is not None]
        if known:
            scored = score(data.schema.labels.problem_type, logits[known], np.array([labels[i] for i in known]))
            metrics |= {f"predict_{name}": value for name, value in scored.items()}
        self._record(trainer, "predict", metrics)
        if trainer.is_world_process_zero():
            paths = write_predictions(
                self.folder,
                labels=data.schema.labels,
                logits=logits,
                ids=data.ids("test"),
                columns=data.kept_columns("test"),
            )
            self.files |= {path.name: path for path in paths}

    def _count(self, data: ClassificationData, split: str) -> int | None:
        rows = data.splits[split].rows
        return len(rows) if isinstance(rows, Sized) else None  # streamed while training

    def _inspect(self, data: ClassificationData) -> DataReport:
        return inspect_classification(data)

    def _main_metrics(self, data: ClassificationData) -> Sequence[str]:
        return MAIN_METRICS[data.schema.labels.problem_type]

    def _extras(self, trainer: Trainer, data: ClassificationData, data_args: Any) -> None:
        if data_args.tfidf_baseline and trainer.is_world_process_zero():
            self._floor(trainer, data)

    def _floor(self, trainer: Trainer, data: ClassificationData) -> None:
        if "train" not in data.splits or self._count(data, "train") is None:
            logger.warning("--tfidf_baseline needs the training rows in memory; it was left out.")
            return
        problem_type = data.schema.labels.problem_type
        for split, prefix in (("validation", "eval"), ("test", "predict")):
            if prefix in self.results and any(label is not None for label in data.labels(split)):
                floor = tfidf_baseline(
                    data.texts("train"), data.labels("train"), data.texts(split), data.labels(split), problem_type
                )
                named = {f"baseline_{prefix}_{name}": value for name, value in floor.items()}
                trainer.save_metrics(f"baseline_{prefix}", named)
                self.results[f"baseline_{prefix}"] = named
