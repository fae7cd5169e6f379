"""Classifiers of folds: what each says of the rows it has not seen, and what all of them say of test rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_ext.cli.choosing import fit_rule, save_rule
from hf_ext.cli.classification_outcome import MAIN_METRICS, score_answers
from hf_ext.cli.classifier_building import load_saved_schema, use_demo_data
from hf_ext.cli.command_lines import CLASSIFICATION
from hf_ext.cli.folds.answering import FoldAnswers
from hf_ext.cli.folds.report import EVAL, PREDICT, FoldReport
from hf_ext.cli.intervals import interval_figures
from hf_ext.data.classification import ClassificationData
from hf_ext.evaluation.answers import Answers
from hf_ext.evaluation.bootstrap import answer_interval
from hf_ext.evaluation.decision_rule import DecisionRule
from hf_ext.evaluation.label_reports import JudgedRows, write_label_reports
from hf_ext.evaluation.pooling import pool_logits
from hf_ext.evaluation.reports import describe_answers, write_answers
from hf_ext.inference.answer_file import AnswerFile
from hf_ext.inference.predictor import CHUNK
from hf_ext.inference.row_classifier import RowClassifier
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.schema import REGRESSION, TaskSchema

OUT_OF_FOLD = ("out_of_fold_predictions.csv", "out_of_fold_predictions.jsonl")


class RowFolds(FoldAnswers):
    """The classifiers of all folds."""

    line = CLASSIFICATION
    task = "text-classification"
    script = "run_classification.py"

    def __init__(self, model_args: Any, data_args: Any, args: Any, report: FoldReport) -> None:
        super().__init__(model_args, data_args, args, report)
        saved = load_saved_schema(ModelArguments(model_name_or_path=str(report.folds[0])), trains=False)
        self.schema: TaskSchema = saved  # type: ignore[assignment]  # a model of ours brings it
        self.kind = self.schema.labels.problem_type
        report.metrics = MAIN_METRICS[self.kind]
        self.rule = DecisionRule()
        text = self.schema.text
        if text.pair_column or text.columns_as_text or self.schema.columns:
            self.example = None

    @classmethod
    def check(cls, args: Any, data_args: Any) -> None:
        """Take the demo data where none is named."""
        if data_args.num_folds and not data_args.names_data:
            use_demo_data(data_args)

    def names(self) -> Sequence[str]:
        """Name the labels."""
        return self.schema.labels.names

    def read_training_rows(self) -> ClassificationData:
        """Read all training rows as test rows, in input order."""
        return ClassificationData.of_training_rows(self.data_args, saved=self.schema, **self.places)

    def read_test_rows(self) -> ClassificationData:
        """Read the test rows."""
        return ClassificationData.from_arguments(self.data_args, saved=self.schema, needs={"test"}, **self.places)

    def count(self, data: ClassificationData) -> int:
        """Count the test rows."""
        return len(data.splits["test"].rows)

    def ask_unseen(self, model: RowClassifier, data: ClassificationData, rows: Sequence[int]) -> NDArray[Any]:
        """Give a model's logits ``(N, L)`` for some test rows; the model keeps its own scale of numbers."""
        self.rule = model.rule
        reader, cells = model.reading(data.schema.text), data.splits["test"].rows
        chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        return np.concatenate([reader.logits(cells.select(list(chunk)).to_list()) for chunk in chunks])

    def ask(self, model: RowClassifier, data: ClassificationData) -> NDArray[Any]:
        """Give a model's logits for all test rows."""
        return self.ask_unseen(model, data, range(self.count(data)))

    def judge(self, data: ClassificationData, fold_of: dict[int, int], unseen: dict[int, NDArray[Any]]) -> None:
        """Score the rows that a fold has held out, each by the model of its fold."""
        rows = sorted(fold_of)
        given = {fold: iter(logits) for fold, logits in unseen.items()}
        logits = np.stack([next(given[fold_of[row]]) for row in rows])
        labels, ids, texts = data.labels("test"), data.ids("test"), data.texts("test")
        targets = np.array([labels[row] for row in rows])
        figures: dict[str, float] = {}
        if self.args.calibrate or self.args.tune_thresholds:
            self.rule, figures = fit_rule(logits, targets, self.schema.labels, self.args)
            for folder in self.report.folds:
                save_rule(self.rule, folder)
        answers = with_logits(logits, self.kind, self.rule)
        together = score_answers(answers, range(len(rows)), targets, self.kind) | figures
        single = []
        for fold in unseen:
            own = [place for place, row in enumerate(rows) if fold_of[row] == fold]
            single.append(score_answers(answers, own, targets[own], self.kind))
        self.report.record(EVAL, together, single, rows=len(rows))
        described = describe_answers(answers, self.schema.labels)
        kept = data.kept_columns("test")
        for name in OUT_OF_FOLD:
            path = self.report.folder / name
            with AnswerFile(path) as file:
                for row, answer in zip(rows, described, strict=True):
                    cells = {column: values[row] for column, values in kept.items() if column != "fold"}
                    file.write(ids[row], {"fold": fold_of[row], **cells}, answer)
            self.report.files[name] = path
        judged = JudgedRows(
            self.schema.labels,
            targets,
            answers.decisions,
            answers.probabilities,
            ids=[ids[row] for row in rows],
            texts=[texts[row] for row in rows],
        )
        self.report.files |= {path.name: path for path in write_label_reports(self.report.folder, judged)}

    def predict(self, data: ClassificationData, members: list[NDArray[Any]]) -> None:
        """Write what all models together say of the test rows, and score it beside what each says alone."""
        pooled = pool_logits(members, self.kind, temperature=self.rule.temperature)
        answers = with_logits(pooled, self.kind, DecisionRule(thresholds=self.rule.thresholds))
        paths = write_answers(
            self.report.folder,
            labels=self.schema.labels,
            answers=answers,
            ids=data.ids("test"),
            columns=data.kept_columns("test"),
        )
        self.report.files |= {path.name: path for path in paths}
        labels = data.labels("test")
        known = [row for row, label in enumerate(labels) if label is not None]
        targets = np.array([labels[row] for row in known])
        together: dict[str, float] = {}
        single = []
        if known:
            together = score_answers(answers, known, targets, self.kind)
            together |= self._interval(together, answers.decisions[known], targets)
            single = [score_answers(with_logits(m, self.kind, self.rule), known, targets, self.kind) for m in members]
        self.report.record(PREDICT, together, single, rows=len(labels))

    def _interval(self, scored: dict[str, float], decisions: Any, targets: Any) -> dict[str, float]:
        name, samples = MAIN_METRICS[self.kind][0], self.args.bootstrap_samples
        if not samples or name not in scored:
            return {}
        interval = answer_interval(decisions, targets, self.kind, samples=samples, seed=self.args.seed)
        return interval_figures(name, scored[name], interval)


def with_logits(logits: NDArray[Any], kind: str, rule: DecisionRule) -> Answers:
    """Read answers off logits and keep these for the figures of order."""
    answers = Answers.from_logits(logits, kind, rule)
    return Answers(answers.decisions, answers.probabilities, logits=None if kind == REGRESSION else logits)
