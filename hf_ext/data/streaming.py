"""Training rows that stay on disk and are read anew in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hf_ext.data.arguments import DataArguments
from hf_ext.data.files import stream_rows
from hf_ext.data.labels import Label, LabelReader
from hf_ext.data.rows import Row


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
