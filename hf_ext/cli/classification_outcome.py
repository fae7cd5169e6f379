"""What a classification run leaves behind: predictions with probabilities, and the TF-IDF floor beside the scores."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import numpy as np
from torch import Tensor
from transformers import Trainer

from hf_ext.cli.choosing import fit_rule, labelled_targets, save_rule
from hf_ext.cli.classifier_card import describe_classifier
from hf_ext.cli.explaining import TaskFacts
from hf_ext.cli.faults import blame_run
from hf_ext.cli.intervals import interval_figures
from hf_ext.cli.outcome import Outcome
from hf_ext.cli.pictures import Pictures
from hf_ext.data.checks.classification import inspect_classification
from hf_ext.data.checks.report import DataReport
from hf_ext.data.classification import ClassificationData
from hf_ext.errors import UserError
from hf_ext.evaluation.answers import Answers, answer_batch
from hf_ext.evaluation.baseline import tfidf_baseline
from hf_ext.evaluation.bootstrap import answer_interval
from hf_ext.evaluation.decision_rule import CONFIG_KEY, DecisionRule, forget_rule
from hf_ext.evaluation.label_reports import JudgedRows, write_label_reports
from hf_ext.evaluation.reports import write_answers
from hf_ext.evaluation.running_scores import RunningScores
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_ext.training.arguments import WEIGHT_FILES

logger = logging.getLogger(__name__)

MAIN_METRICS = {
    SINGLE_LABEL: ("f1_weighted", "f1_macro", "accuracy"),
    MULTI_LABEL: ("f1_weighted", "f1_macro", "f1_micro"),
    REGRESSION: ("spearman", "pearson", "mse"),
}


class ClassificationOutcome(Outcome[ClassificationData]):
    """The last step of ``run_classification.py``.

    Args:
        args: The run's training arguments.
        fits_rule: Whether an evaluation fits the temperature and thresholds that are asked for.
    """

    task = "text-classification"
    titles: ClassVar[dict[str, str]] = {
        "eval": "validation",
        "baseline_eval": "validation: TF-IDF floor",
        "predict": "test",
        "baseline_predict": "test: TF-IDF floor",
    }

    def __init__(self, args: Any, *, fits_rule: bool = True) -> None:
        super().__init__(args)
        self.fits_rule = fits_rule
        self.judged: JudgedRows | None = None  # what the report is about
        self.judged_split = ""
        self.choice: dict[str, float] = {}  # what fitting the probabilities gave

    def train(self, trainer: Trainer, data: ClassificationData) -> None:
        """Train as ever; what an earlier run has fitted to the answers of other weights is forgotten."""
        forget_rule(_config(trainer))
        super().train(trainer, data)

    def evaluate(self, trainer: Trainer, data: ClassificationData) -> None:
        """Fit temperature and thresholds where they are asked for, then evaluate by the rule of the model."""
        if self.fits_rule and (self.args.calibrate or self.args.tune_thresholds):
            self._choose(trainer, data)
        metric: Any = trainer.compute_metrics
        metric.rule = DecisionRule.from_config(_config(trainer))
        super().evaluate(trainer, data)

    def predict(self, trainer: Trainer, data: ClassificationData, features: Any) -> None:
        """Predict the test rows in input order, write them, and score those that have a label.

        What is fetched of a row are its answer and its probabilities, in half precision. Its logits come along only
        where there are labels, for the figures that depend on the order of all rows.
        """
        labels, problem_type = data.labels("test"), data.schema.labels.problem_type
        known = [i for i, label in enumerate(labels) if label is not None]
        with blame_run(), ask_for_answers(trainer, problem_type, keep_logits=bool(known)):
            output = trainer.predict(features, metric_key_prefix="predict")
        answers = Answers.from_batches(cast(Any, output.predictions))
        metrics = {**(output.metrics or {}), "predict_samples": len(answers)}
        if known:
            targets = np.array([labels[i] for i in known])
            scored = score_answers(answers, known, targets, problem_type)
            scored |= self._interval(scored, answers.decisions[known], targets, problem_type)
            metrics |= {f"predict_{name}": value for name, value in scored.items()}
        self._record(trainer, "predict", metrics)
        if trainer.is_world_process_zero():
            paths = write_answers(
                self.folder,
                labels=data.schema.labels,
                answers=answers,
                ids=data.ids("test"),
                columns=data.kept_columns("test"),
            )
            self.files |= {path.name: path for path in paths}
        if known:
            self._keep(data, "test", answers)

    def _choose(self, trainer: Trainer, data: ClassificationData) -> None:
        """Fit the rule on the validation rows that have a label, and save it with the model."""
        rows: Any = trainer.eval_dataset
        known, targets = labelled_targets(data.labels("validation"))
        if not known:
            raise UserError("no validation row has a label to fit probabilities on", fix="leave out the flag")
        with blame_run(), ask_for_answers(trainer, data.schema.labels.problem_type, keep_logits=True):
            batches: Any = trainer.predict(rows.remove_columns("labels"), metric_key_prefix="choose").predictions
        logits = cast(Any, Answers.from_batches(batches).logits)[known]
        rule, self.choice = fit_rule(logits, targets, data.schema.labels, self.args)
        setattr(_config(trainer), CONFIG_KEY, rule.stored)
        if not any(next(self.folder.glob(pattern), None) for pattern in WEIGHT_FILES):  # the model came from elsewhere
            trainer.save_model(_internal_call=True)
        elif trainer.is_world_process_zero():
            save_rule(rule, self.folder)

    def _figures(
        self, trainer: Trainer, data: ClassificationData, split: str, metrics: dict[str, float]
    ) -> dict[str, Any]:
        return {f"eval_{name}": value for name, value in self.choice.items()} if split == "eval" else {}

    def _interval(self, scored: dict[str, float], answers: Any, targets: Any, problem_type: str) -> dict[str, float]:
        """Tell between which figures the main metric lies."""
        name, samples = MAIN_METRICS[problem_type][0], self.args.bootstrap_samples
        if not samples or name not in scored:
            return {}
        interval = answer_interval(answers, targets, problem_type, samples=samples, seed=self.args.seed)
        return interval_figures(name, scored[name], interval)

    def _judge(self, trainer: Trainer, data: ClassificationData) -> None:
        rows: Any = trainer.eval_dataset
        if self.judged is None and self.args.do_eval:
            with blame_run(), ask_for_answers(trainer, data.schema.labels.problem_type, keep_logits=False):
                batches: Any = trainer.predict(rows.remove_columns("labels"), metric_key_prefix="report").predictions
            self._keep(data, "validation", Answers.from_batches(batches))

    def _keep(self, data: ClassificationData, split: str, answers: Answers) -> None:
        """Keep the rows with labels and their answers for the report."""
        targets, ids, texts = data.labels(split), data.ids(split), data.texts(split)
        known = [i for i, target in enumerate(targets) if target is not None]
        self.judged_split = split
        self.judged = JudgedRows(
            data.schema.labels,
            np.array([targets[i] for i in known]),
            answers.decisions[known],
            None if answers.probabilities is None else answers.probabilities[known],
            ids=[ids[i] for i in known],
            texts=[texts[i] for i in known],
            score=None if answers.score is None else answers.score[known],
        )

    def _draw(self, pictures: Pictures, data: ClassificationData) -> None:
        super()._draw(pictures, data)
        if self.judged is not None:
            self.files |= {path.name: path for path in write_label_reports(self.folder, self.judged)}
            pictures.draw_answers(self.judged)

    def _describe(self, trainer: Trainer, data: ClassificationData, folder: str) -> TaskFacts:
        return describe_classifier(
            trainer.accelerator.unwrap_model(trainer.model), data, folder, judged=self.judged, split=self.judged_split
        )

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


@contextmanager
def ask_for_answers(trainer: Trainer, problem_type: str, *, keep_logits: bool) -> Iterator[None]:
    """Have a prediction give a list of batches of what ``Answers`` takes, in place of logits."""

    rule = DecisionRule.from_config(_config(trainer))

    def answer(logits: Any, labels: Any) -> dict[str, Tensor]:
        return answer_batch(logits, problem_type, keep_logits=keep_logits, rule=rule)

    args = trainer.args
    before = trainer.preprocess_logits_for_metrics, args.eval_do_concat_batches
    args.eval_do_concat_batches = False  # joining what came so far with each new batch takes quadratic time
    trainer.preprocess_logits_for_metrics = answer  # type: ignore[assignment]  # Trainer means a tensor
    try:
        yield
    finally:
        trainer.preprocess_logits_for_metrics, args.eval_do_concat_batches = before


def score_answers(answers: Answers, rows: Sequence[int], targets: np.ndarray, problem_type: str) -> dict[str, float]:
    """Score some rows by the metrics of their kind of task.

    Args:
        answers: Of all rows, with logits where figures of order are wanted (numbers are enough for themselves).
        rows: Which of them.
        targets: Their labels.
        problem_type: One of transformers' three names.
    """
    numbers = answers.decisions if problem_type == REGRESSION else answers.logits
    width = 1 if answers.probabilities is None else answers.probabilities.shape[1]
    running = RunningScores(problem_type, width)
    running.add(answers.decisions[rows], targets, scores=None if numbers is None else numbers[rows])
    return running.figures()


def _config(trainer: Trainer) -> Any:
    return trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False).config
