"""Training rows that stay on disk and are read anew in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hf_ext.data.arguments import DataArguments
from hf_ext.data.checks import rows as checks
from hf_ext.data.files import stream_rows
from hf_ext.data.labels import Label, LabelReader
from hf_ext.data.rows import LINE_COLUMN, Row, RowReader
from hf_ext.models.schema import REGRESSION


@dataclass
class StreamedRows:
    """The labelled rows of a training file, read anew at each call; can be pickled for worker processes.

    Args:
        path: The file.
        arguments: How it is read.
        label_column: Rows without a label there are left out.
        reader: How that cell is read.
    """

    path: str
    arguments: DataArguments
    label_column: str
    reader: LabelReader

    def __call__(self) -> Iterator[Row]:
        """Give the rows, each with its cells as text and its line."""
        for row in stream_rows(self.path, self.arguments):
            if self.reader.read(row[self.label_column]) is not None:
                yield row

    def labels(self) -> Iterator[Label]:
        """Give the labels alone."""
        for row in self():
            label = self.reader.read(row[self.label_column])
            if label is not None:
                yield label


def survey_labels(reader: RowReader, label_reader: LabelReader, column: str) -> list[str]:
    """Read the labels of a streamed file once before training, and give a note about the rows without one.

    Raises:
        UserError: If a label cell cannot be used, with its line.
    """
    lacking = 0
    for row in reader:
        lines = [row[LINE_COLUMN]]
        checks.check_single_labels([row[column]], lines, reader.source, problem_type=label_reader.problem_type)
        label = label_reader.read(row[column])
        lacking += label is None
        if label_reader.problem_type == REGRESSION:
            checks.check_targets([label], lines, reader.source, column)
    return [f"{reader.source}: {lacking} rows without a label left out"] if lacking else []
