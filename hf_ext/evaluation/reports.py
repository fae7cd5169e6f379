"""Predictions as files that people open, and small tables for the terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hf_ext.evaluation.answers import Answers
from hf_ext.evaluation.decisions import name_decision
from hf_ext.models.schema import REGRESSION, LabelSchema

WIDE_STARTS = ("\uff1d", "\uff0b", "\uff0d", "\uff20")  # the same marks as wide as a Chinese character
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *WIDE_STARTS)
PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
OWN_COLUMNS = ("id", "prediction", "score")
PROBABILITY_PREFIX = "probability_"


def write_predictions(
    folder: str | Path,
    *,
    labels: LabelSchema,
    logits: ArrayLike,
    ids: Sequence[Any],
    columns: Mapping[str, Sequence[str]],
) -> list[Path]:
    """Write ``predictions.csv``, ``predictions.jsonl`` and ``predict_results.txt``, rows in input order.

    A row holds its id, the kept input columns, the prediction (a label name, a list of names, or a number), the
    score (probability of what was chosen; several for several labels; none for regression) and the probability of
    each label. In the csv a list of names is written as JSON, and text that a spreadsheet would run as a formula gets
    a leading ``'``; the jsonl holds the text as it is. An input column whose name is taken is called ``input_<name>``.

    Args:
        folder: Output folder, made when missing.
        labels: The label schema of the model.
        logits: Raw model outputs, shape ``(N, L)``.
        ids: The id of each row, length N.
        columns: Input columns to keep, each of length N.

    Returns:
        The written files.

    Raises:
        ValueError: If lengths or the width of the logits do not fit.
    """
    scores = np.asarray(logits, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != labels.num_labels:
        raise ValueError(f"logits have shape {scores.shape}, the label schema has {labels.num_labels} labels.")
    answers = Answers.from_logits(scores, labels.problem_type)
    return write_answers(folder, labels=labels, answers=answers, ids=ids, columns=columns)


def write_answers(
    folder: str | Path,
    *,
    labels: LabelSchema,
    answers: Answers,
    ids: Sequence[Any],
    columns: Mapping[str, Sequence[str]],
) -> list[Path]:
    """Write the same files as ``write_predictions`` from answers that need not hold logits.

    Probabilities in half precision are written with as many digits as they have.

    Args:
        folder: Output folder, made when missing.
        labels: The label schema of the model.
        answers: The answers for N rows.
        ids: The id of each row, length N.
        columns: Input columns to keep, each of length N.

    Returns:
        The written files.

    Raises:
        ValueError: If lengths do not fit.
    """
    _check_sizes(len(answers), {"id": ids, **columns})
    rows = _rows(answers, labels, ids, _free_names(columns, labels))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "predictions.csv": _as_csv(rows, labels, columns),
        "predictions.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        "predict_results.txt": _as_official_text(rows, labels),
    }
    return [write_atomically(folder / name, text) for name, text in contents.items()]


def describe_answers(answers: Answers, labels: LabelSchema) -> list[dict[str, Any]]:
    """Say what a classifier or regressor answers, by the names of its labels.

    Args:
        answers: The answers for N rows.
        labels: The label schema of the model.

    Returns:
        For each row ``prediction``: a label, a list of labels, or a number; with labels also ``score``, the probability
        of what was chosen, and ``probabilities`` by label.
    """
    if answers.probabilities is None:
        return [{"prediction": float(number)} for number in answers.decisions]
    chances = _readable(answers.probabilities)
    rows = [name_decision(*row, labels.names) for row in zip(answers.decisions, chances, strict=True)]
    if answers.score is not None:
        for row, score in zip(rows, _readable(answers.score), strict=True):
            row["score"] = float(score)
    return rows


def summary_table(rows: Sequence[Sequence[Any]]) -> str:
    """Lay out rows of cells in columns of equal width, the first row being the header.

    Cells that read as numbers stand on the right, floats with four decimals; a Chinese character counts as two places.

    Raises:
        ValueError: If the rows differ in length.
    """
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"rows of a table must have equal length, got {[len(row) for row in rows]}.")
    texts = [[_cell_text(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*texts, strict=True)]
    lines = []
    for row, cells in zip(rows, texts, strict=True):
        padded = [
            " " * (width - display_width(text)) + text
            if _is_number(cell)
            else text + " " * (width - display_width(text))
            for cell, text, width in zip(row, cells, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def display_width(text: str) -> int:
    """Count the places that a text takes in a terminal: wide characters two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def csv_cell(value: Any) -> str:
    """Write a number with six digits, and text such that no spreadsheet runs it (OWASP, CSV injection).

    Text that could start a formula gets a leading ``'``. Text that is a number, such as the label ``-1``, stays.
    """
    if _is_number(value):
        return f"{value:.6g}" if isinstance(value, float) else repr(value)
    if isinstance(value, list):
        value = json.dumps([float(csv_cell(v)) if _is_number(v) else v for v in value], ensure_ascii=False)
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not PLAIN_NUMBER.fullmatch(text) else text


def write_atomically(path: Path, text: str) -> Path:
    """Write a text file (UTF-8, lines as they are) such that a failure leaves the old one whole; give its path."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(text.encode("utf-8", errors="replace"))  # bytes: no newline translation on any system
    os.replace(temporary, path)
    return path


def _check_sizes(rows: int, columns: Mapping[str, Sequence[Any]]) -> None:
    for name, cells in columns.items():
        if len(cells) != rows:
            raise ValueError(f"column {name!r} has {len(cells)} cells for {rows} rows.")


def _free_names(columns: Mapping[str, Sequence[str]], labels: LabelSchema) -> dict[str, Sequence[str]]:
    """Rename input columns that would hide one of ours."""
    taken = {*OWN_COLUMNS, "probabilities", *(PROBABILITY_PREFIX + name for name in labels.names)}
    renamed: dict[str, Sequence[str]] = {}
    for name, cells in columns.items():
        free = name
        while free in taken or free in renamed or (free != name and free in columns):
            free = f"input_{free}"
        renamed[free] = cells
    return renamed


def _rows(
    answers: Answers, labels: LabelSchema, ids: Sequence[Any], columns: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    described = zip(ids, describe_answers(answers, labels), strict=True)
    return [
        {"id": row_id, **{name: cells[i] for name, cells in columns.items()}, **answer}
        for i, (row_id, answer) in enumerate(described)
    ]


def _readable(values: np.ndarray) -> np.ndarray:
    """Give the shortest decimal numbers that stand for these, 0.9995 for the half-precision 0.99951171875."""
    return values if values.dtype == np.float64 else values.astype(str).astype(np.float64)


def _as_csv(rows: Sequence[Mapping[str, Any]], labels: LabelSchema, columns: Mapping[str, Sequence[str]]) -> str:
    names = ["id", *_free_names(columns, labels), "prediction"]
    if labels.problem_type != REGRESSION:
        names += ["score", *(PROBABILITY_PREFIX + name for name in labels.names)]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)  # QUOTE_MINIMAL, \r\n: RFC 4180
    writer.writerow([csv_cell(name) for name in names])
    for row in rows:
        cells = {**row, **{PROBABILITY_PREFIX + k: v for k, v in row.get("probabilities", {}).items()}}
        writer.writerow([csv_cell(cells[name]) for name in names])
    return stream.getvalue()


def _as_official_text(rows: Sequence[Mapping[str, Any]], labels: LabelSchema) -> str:
    """Write what the official script writes: a header, then the row number and the prediction."""
    lines = ["index\tprediction"]
    for index, row in enumerate(rows):
        prediction = row["prediction"]
        text = f"{prediction:3.3f}" if labels.problem_type == REGRESSION else str(prediction)
        lines.append(f"{index}\t{text}")
    return "\n".join(lines) + "\n"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reads_as_number(cell: Any) -> bool:
    try:
        float(str(cell).replace(",", ""))
    except ValueError:
        return False
    return True


def _cell_text(cell: Any) -> str:
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)
