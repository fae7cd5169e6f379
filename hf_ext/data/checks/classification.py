"""All that is worth a look in the rows of a classification or regression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from hf_ext.data.checks.columns import inspect_columns
from hf_ext.data.checks.compared_rows import NONE, ComparedRows, as_text, encode, find_blank, number_rows
from hf_ext.data.checks.label_counts import find_absent, find_alike, find_imbalance, find_shift
from hf_ext.data.checks.repeats import find_contradictions, find_other_answers, find_repeats, find_shared
from hf_ext.data.checks.report import DataReport, Figures, describe_sizes
from hf_ext.data.checks.text_cells import count_characters, find_broken
from hf_ext.data.classification import ClassificationData
from hf_ext.data.labels import Label, LabelReader
from hf_ext.data.prepared import RowSplit
from hf_ext.data.rows import LINE_COLUMN
from hf_ext.models.schema import REGRESSION, SINGLE_LABEL, parse_number


def inspect_classification(data: ClassificationData) -> DataReport:
    """Look at the rows of every split; those that are streamed are passed over.

    Time grows with the rows: a fraction of what tokenising them takes.

    Args:
        data: Rows that have been read and checked; what is noted there is in the report too.
    """
    return _Inspection(data).run()


class _Inspection:
    """The steps of ``inspect_classification``, which share tables, labels and the notes."""

    def __init__(self, data: ClassificationData) -> None:
        self.schema = data.schema
        self.report = DataReport(notes=list(data.notes))
        self.splits = {name: s for name, s in data.splits.items() if isinstance(s.rows, datasets.Dataset)}
        self.tables = {name: split.rows.with_format("arrow")[:] for name, split in self.splits.items()}
        text, columns = data.schema.text, data.schema.columns
        self.text_names = [*text.columns, *([text.pair_column] if text.pair_column else [])]
        categorical, numeric = [c.name for c in columns.categorical], [c.name for c in columns.numeric]
        self.table_names = [*categorical, *numeric, *text.columns_as_text]
        self.labels: dict[str, Counter[str]] = {}
        self.rows: dict[str, ComparedRows] = {}

    def run(self) -> DataReport:
        if self.splits:
            self._number_rows()
            for name in self.splits:
                self.report.splits[name] = self._describe(name)
            self._compare_rows()
            self._look_at_labels()
            self._look_at_columns()
        return self.report

    def _number_rows(self) -> None:
        tables, texts, inputs = list(self.tables.values()), self.text_names, [*self.text_names, *self.table_names]
        by_text, by_input = number_rows(tables, texts), number_rows(tables, inputs)
        known: dict[Any, int] = {}
        sources = Counter(split.source for split in self.splits.values())
        for i, (name, split) in enumerate(self.splits.items()):
            source = f"{split.source} ({name} rows)" if sources[split.source] > 1 else split.source
            answers, self.labels[name] = self._read_labels(name, split, known)
            self.rows[name] = ComparedRows(
                split=name,
                source=source,
                lines=self.tables[name].column(LINE_COLUMN).to_numpy(),
                texts=np.where(find_blank(self.tables[name], texts), NONE, by_text[i]),
                inputs=np.where(find_blank(self.tables[name], inputs), NONE, by_input[i]),
                answers=answers,
            )

    def _read_labels(self, name: str, split: RowSplit, known: dict[Any, int]) -> tuple[np.ndarray, Counter[str]]:
        """Number the labels of a split, and count the rows of each name."""
        table, column = self.tables[name], str(self.schema.label_column)
        if split.reader is None or column not in table.column_names:
            return np.full(len(table), NONE), Counter()
        codes, labels = _different_labels(table.column(column), split.reader)
        keys = [_as_key(label) for label in labels]
        numbers = np.array([NONE if key is None else known.setdefault(key, len(known)) for key in keys], dtype=np.int64)
        counts: Counter[str] = Counter()
        for key, rows in zip(keys, np.bincount(codes, minlength=len(keys)).tolist(), strict=True):
            for label in key or ():
                counts[label] += rows
        return numbers[codes], counts

    def _describe(self, name: str) -> Figures:
        rows = self.rows[name]
        columns = [as_text(self.tables[name].column(column)) for column in self.text_names]
        sizes = sum((count_characters(column) for column in columns), np.zeros(len(rows.lines), dtype=np.int64))
        for column in columns:
            self.report.notes += find_broken(column, rows.lines, rows.source)
        figures: Figures = {"source": rows.source, "rows": len(rows.lines)}
        figures["unlabelled"] = int((rows.answers == NONE).sum())
        counts = self.labels[name]
        if self.schema.labels.problem_type == REGRESSION:
            figures |= describe_targets(counts)
        elif counts:
            figures["labels"] = len(counts)
            figures["rows_of_label"] = dict(counts.most_common())
        return figures | describe_sizes(sizes, "characters")

    def _compare_rows(self) -> None:
        order = list(self.rows.values())
        for i, rows in enumerate(order):
            fix = "pass --drop_duplicates" if rows.split == "train" and not self.table_names else None
            self.report.notes += find_repeats(rows, fix=fix) + find_contradictions(rows)
            for earlier in order[:i]:
                if earlier.split != "train":  # what training shares with others is noted when rows are read
                    self.report.notes += find_shared(earlier, rows)
                elif self.schema.labels.problem_type != REGRESSION:
                    self.report.notes += find_other_answers(earlier, rows)

    def _look_at_labels(self) -> None:
        train = self.labels.get("train")
        if not train or self.schema.labels.problem_type == REGRESSION:
            return
        source = self.rows["train"].source
        fix = "--class_weights balanced weighs them alike" if self.schema.labels.problem_type == SINGLE_LABEL else None
        self.report.notes += find_imbalance(train, source, fix=fix) + find_alike(train, source)
        for name, counts in self.labels.items():
            if name != "train":
                where = self.rows[name].source
                self.report.notes += find_absent(train, counts, where) + find_shift(train, counts, where)

    def _look_at_columns(self) -> None:
        if "train" not in self.splits or not self.table_names:
            return
        found, powers = inspect_columns(
            self.tables,
            self.rows,
            self.table_names,
            categorical=[column.name for column in self.schema.columns.categorical],
            single_label=self.schema.labels.problem_type == SINGLE_LABEL,
        )
        self.report.notes += found
        if powers:
            self.report.splits["train"]["lambda_of_column"] = powers


def describe_targets(counts: Mapping[str, int]) -> Figures:
    """Give range, mean and deviation of the targets of a regression.

    Args:
        counts: Rows of each different target, as written.
    """
    if not counts:
        return {}
    targets = np.array([parse_number(cell) for cell in counts])
    mean = float(np.average(targets, weights=list(counts.values())))
    variance = float(np.average((targets - mean) ** 2, weights=list(counts.values())))
    low, high = float(targets.min()), float(targets.max())
    return {"targets": {"min": low, "mean": round(mean, 4), "max": high, "deviation": round(variance**0.5, 4)}}


def _different_labels(column: pa.ChunkedArray, reader: LabelReader) -> tuple[np.ndarray, list[Label | None]]:
    """Give the number of the label cell of each row, and what each different cell says."""
    if pa.types.is_list(column.type):
        cells = column.to_pylist()
        different = list(dict.fromkeys(map(tuple, cells)))
        numbers = {cell: i for i, cell in enumerate(different)}
        return np.array([numbers[tuple(cell)] for cell in cells]), [reader.read(list(cell)) for cell in different]
    codes, texts = encode(column)
    return codes, [reader.read(cell) for cell in texts]


def _as_key(label: Label | None) -> tuple[str, ...] | None:
    """Give the names of a label, in an order of their own, so that the same labels are equal."""
    return None if label is None else (label,) if isinstance(label, str) else tuple(sorted(label))
