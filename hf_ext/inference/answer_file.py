"""Answers as a csv or jsonl file, written as they come."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from hf_ext.evaluation.reports import PROBABILITY_PREFIX, csv_cell
from hf_ext.inference.preconditions import check_answer_file


class AnswerFile:
    """A file of answers that appears when it is whole.

    A csv has a column for each value, ``probability_<label>`` for each probability; lists are written as JSON, and text
    that a spreadsheet would run as a formula gets a leading ``'``. A jsonl holds everything as it is. An input column
    whose name an answer has too is called ``input_<name>``.

    Args:
        path: A ``.csv`` or ``.jsonl`` file; one that is there stays until the new one is whole.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = check_answer_file(path)
        self._temporary = self.path.with_name(f".{self.path.name}.tmp")
        self._stream: IO[str] | None = None
        self._header: list[str] = []

    def __enter__(self) -> AnswerFile:
        self._stream = self._temporary.open("w", encoding="utf-8", errors="replace", newline="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
        if kind is None:
            os.replace(self._temporary, self.path)
        else:
            self._temporary.unlink(missing_ok=True)

    def write(self, row_id: str, kept: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Write one row: its id, input columns, and what the model answers."""
        if self._stream is None:
            raise ValueError("an AnswerFile is written inside of a with statement.")
        taken = {"id", *answer, *_flat(answer)}
        row = {"id": row_id, **{_free_name(name, taken): cell for name, cell in kept.items()}, **answer}
        if self.path.suffix == ".jsonl":
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            return
        cells, writer = _flat(row), csv.writer(self._stream)
        if not self._header:
            self._header = list(cells)
            writer.writerow([csv_cell(name) for name in self._header])
        writer.writerow([csv_cell(cells[name]) for name in self._header])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give each probability a column of its own."""
    cells = {name: value for name, value in row.items() if name != "probabilities"}
    chances = row.get("probabilities", {})
    return cells | {PROBABILITY_PREFIX + label: chance for label, chance in chances.items()}


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"input_{name}"
    return name
