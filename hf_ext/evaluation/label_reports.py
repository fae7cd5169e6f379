"""Where a classifier is right and where not: figures of each label, and its mistakes, the most confident first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_ext.evaluation.calibration import Calibration, measure_calibration
from hf_ext.evaluation.csv_tables import csv_table
from hf_ext.evaluation.reports import write_atomically
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, LabelSchema

LABEL_REPORT, ERROR_REPORT = "label_report.csv", "errors.csv"
REPORT_COLUMNS = ("id", "label", "precision", "recall", "f1", "rows", "predicted", "correct")
ERROR_COLUMNS = ("id", "label", "prediction", "confidence", "probability_of_label", "text")
NUMBER_COLUMNS = ("id", "target", "prediction", "error", "text")


@dataclass(frozen=True)
class JudgedRows:
    """N rows with their labels and what a model says of them.

    Args:
        labels: The labels of the model.
        targets: Label indices ``(N,)``, 0/1 rows ``(N, L)`` or numbers ``(N,)``.
        decisions: The same, as the model answers.
        probabilities: Of each label, ``(N, L)``; None for numbers.
        ids: The id of each row.
        texts: The text of each row.
        score: The probability of the chosen label in more digits than ``probabilities`` may have, ``(N,)``, or None.

    Raises:
        ValueError: If lengths do not fit.
    """

    labels: LabelSchema
    targets: NDArray[Any]
    decisions: NDArray[Any]
    probabilities: NDArray[Any] | None
    ids: Sequence[Any]
    texts: Sequence[str]
    score: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.targets.shape != self.decisions.shape:
            raise ValueError(f"targets have shape {self.targets.shape}, decisions {self.decisions.shape}.")
        if (self.probabilities is None) != (self.labels.problem_type == REGRESSION):
            raise ValueError(f"probabilities are needed for labels and for nothing else ({self.labels.problem_type}).")
        shape = (len(self.targets), self.labels.num_labels)
        if self.probabilities is not None and self.probabilities.shape != shape:
            raise ValueError(f"probabilities have shape {self.probabilities.shape}, expected {shape}.")
        for name, values in (("ids", self.ids), ("texts", self.texts)):
            if len(values) != len(self.targets):
                raise ValueError(f"there are {len(values)} {name} for {len(self.targets)} rows.")

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.targets)

    def confusion(self) -> NDArray[np.int64]:
        """Count the rows of label ``i`` that were taken for label ``j``, shape ``(L, L)``; of single labels only.

        Raises:
            ValueError: For other tasks.
        """
        if self.labels.problem_type != SINGLE_LABEL:
            raise ValueError(f"there is no confusion matrix of {self.labels.problem_type}.")
        size = self.labels.num_labels
        pairs = self.targets.astype(np.int64) * size + self.decisions.astype(np.int64)
        return np.bincount(pairs, minlength=size * size).reshape(size, size)

    def calibration(self) -> Calibration:
        """Compare probabilities with how often they are right.

        Of single labels that of the chosen label counts; with several labels a row that of each label, which is right
        where the label holds.

        Raises:
            ValueError: For numbers, which have no probability.
        """
        if self.probabilities is None:
            raise ValueError("numbers have no probability.")
        if self.labels.problem_type == MULTI_LABEL:
            return measure_calibration(self.probabilities.reshape(-1), self.targets.reshape(-1))
        return measure_calibration(self._certainty(), self.decisions == self.targets)

    def label_figures(self) -> list[dict[str, Any]]:
        """Give ``REPORT_COLUMNS`` of each label, in the order of the model; a figure without any row is 0."""
        if self.labels.problem_type == MULTI_LABEL:
            true, predicted = self.targets.astype(bool), self.decisions.astype(bool)
            counts = [column.sum(axis=0) for column in (true, predicted, true & predicted)]
        else:
            table = self.confusion()
            counts = [table.sum(axis=1), table.sum(axis=0), table.diagonal()]
        names = enumerate(self.labels.names)
        numbers = zip(*(column.tolist() for column in counts), strict=True)
        return [_figures(*name, *three) for name, three in zip(names, numbers, strict=True)]

    def mistakes(self) -> list[int]:
        """Give the places of the wrong rows: those the model is surest of, or furthest off, first."""
        if self.labels.problem_type == REGRESSION:
            wrong = np.arange(len(self))
            grade = np.abs(self.decisions - self.targets)
        else:
            differs = self.decisions != self.targets
            wrong = np.flatnonzero(differs.any(axis=1) if differs.ndim == 2 else differs)
            grade = self._certainty()
        return wrong[np.argsort(-grade[wrong], kind="stable")].tolist()

    def _certainty(self) -> NDArray[Any]:
        """Give how sure the answer is; of several labels, how sure the worst of the wrong ones is."""
        chances = np.asarray(self.probabilities, dtype=np.float64)
        if self.labels.problem_type == MULTI_LABEL:
            return np.abs(chances - self.targets).max(axis=1)
        return _at(chances, self.decisions) if self.score is None else self.score


def write_label_reports(folder: str | Path, judged: JudgedRows) -> list[Path]:
    """Write ``label_report.csv`` and ``errors.csv``.

    - ``label_report.csv``: ``REPORT_COLUMNS`` of each label; of numbers there is none, and one of an earlier run goes.
    - ``errors.csv``: the wrong rows, the most confident ones first: ``ERROR_COLUMNS``; of numbers all rows, the largest
      error first: ``NUMBER_COLUMNS``. Lists of labels are JSON; with several labels the confidence is how far the worst
      wrong one is from its target, and ``probability_of_label`` is empty.

    Both begin with a byte order mark, and no cell starts a formula.

    Args:
        folder: Output folder, made when missing.
        judged: The rows.

    Returns:
        The written files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LABEL_REPORT).unlink(missing_ok=True)
    if judged.labels.problem_type == REGRESSION:
        return [write_atomically(folder / ERROR_REPORT, csv_table(NUMBER_COLUMNS, _number_rows(judged)))]
    figures = ([row[name] for name in REPORT_COLUMNS] for row in judged.label_figures())
    contents = {
        LABEL_REPORT: csv_table(REPORT_COLUMNS, figures),
        ERROR_REPORT: csv_table(ERROR_COLUMNS, _error_rows(judged)),
    }
    return [write_atomically(folder / name, text) for name, text in contents.items()]


def _figures(number: int, label: str, rows: int, predicted: int, correct: int) -> dict[str, Any]:
    precision, recall = correct / max(predicted, 1), correct / max(rows, 1)
    f1 = 2 * correct / max(rows + predicted, 1)
    cells = (number, label, precision, recall, f1, rows, predicted, correct)
    return dict(zip(REPORT_COLUMNS, cells, strict=True))


def _error_rows(judged: JudgedRows) -> Iterator[list[Any]]:
    names, certainty = judged.labels.names, judged._certainty()
    chances = np.asarray(judged.probabilities, dtype=np.float64)
    for row in judged.mistakes():
        if judged.labels.problem_type == MULTI_LABEL:
            sides = (judged.targets[row], judged.decisions[row])
            both: list[Any] = [[names[i] for i in np.flatnonzero(flags)] for flags in sides]
            share = None
        else:
            target = int(judged.targets[row])
            both = [names[target], names[int(judged.decisions[row])]]
            share = float(chances[row, target])
        yield [judged.ids[row], *both, float(certainty[row]), share, judged.texts[row]]


def _number_rows(judged: JudgedRows) -> Iterator[list[Any]]:
    for row in judged.mistakes():
        target, decision = float(judged.targets[row]), float(judged.decisions[row])
        yield [judged.ids[row], target, decision, decision - target, judged.texts[row]]


def _at(chances: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    return chances[np.arange(len(chances)), places.astype(np.int64)]
