"""Training rows that stay on disk and are read anew in every epoch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets

from hf_ext.data.arguments import DataArguments
from hf_ext.data.checks import rows as checks
from hf_ext.data.files import open_rows
from hf_ext.data.labels import Label, LabelReader
from hf_ext.data.rows import LINE_COLUMN, Row, RowReader
from hf_ext.models.schema import REGRESSION


@dataclass
class StreamedRows:
    """The labelled rows of a training file, read anew at each call; can be pickled for worker processes.

    How the file is built (encoding, columns) is found out once in each process, at the first call.

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

    def __post_init__(self) -> None:
        self._opened: RowReader | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": None}

    def __call__(self) -> Iterator[Row]:
        """Give the rows, each with its cells as text and its line."""
        if self._opened is None:
            self._opened = open_rows(self.path, self.arguments, streaming=True)
        for row in self._opened:
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


def shuffle_stream(stream: datasets.IterableDataset, *, seed: int, buffer_size: int) -> datasets.IterableDataset:
    """Shuffle the rows of a stream within a buffer, in another order in every epoch.

    Rows of several shards come in turns, each fetched by a thread. A single shard is read without threads, which for a
    row as small as a tokenised text would take longer than all else; the order is the same.

    Args:
        stream: The rows.
        seed: Another seed gives other orders.
        buffer_size: Rows that are shuffled among each other.
    """
    options: dict[str, Any] = {"seed": seed, "buffer_size": buffer_size}
    if stream.num_shards == 1 and "max_buffer_input_shards" in inspect.signature(stream.shuffle).parameters:
        options["max_buffer_input_shards"] = 1
    return stream.shuffle(**options)
