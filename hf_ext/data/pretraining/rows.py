"""Packed rows of tokens on disk, made from tokenised documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import datasets
import numpy as np
import pyarrow as pa

from hf_ext.data.pretraining.packing import RowPlan
from hf_ext.data.special_tokens import Frame

BATCH = 1000  # rows written at a time
FIRST_DOCUMENT = "_first_document"  # number of the document that a row begins with, to say where rows come from
ROWS = datasets.Features(
    {
        "input_ids": datasets.List(datasets.Value("int32")),
        "word_starts": datasets.List(datasets.Value("bool")),
        "document_lengths": datasets.List(datasets.Value("int32")),
        "row": datasets.Value("int64"),
        FIRST_DOCUMENT: datasets.Value("int64"),
    }
)


class MarkedDocuments(Protocol):
    """Tokens of documents by number."""

    def part(self, document: int, start: int, stop: int) -> np.ndarray:
        """Give some tokens of a document, ``2 * id`` plus one where a word begins."""


class TokenTable:
    """The column ``marked_ids`` of a table on disk as numpy views.

    Args:
        tokens: What ``TokenEncoder`` has made, not shuffled or selected from.
        column: Name of a column of lists.
    """

    def __init__(self, tokens: datasets.Dataset, column: str = "marked_ids") -> None:
        chunks = tokens.data.column(column).chunks
        self._values = [chunk.values.to_numpy() for chunk in chunks]
        self._offsets = [chunk.offsets.to_numpy() for chunk in chunks]
        self._firsts = np.cumsum([0, *(len(chunk) for chunk in chunks)])

    def lengths(self) -> np.ndarray:
        """Count the tokens of each document, ``(D,)``."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *(np.diff(offsets) for offsets in self._offsets)])

    def part(self, document: int, start: int, stop: int | None) -> np.ndarray:
        """Give some tokens of a document, or all from ``start`` on."""
        chunk = int(np.searchsorted(self._firsts, document, side="right")) - 1
        offsets = self._offsets[chunk]
        place = document - int(self._firsts[chunk])
        begin = int(offsets[place])
        return self._values[chunk][begin + start : int(offsets[place + 1]) if stop is None else begin + stop]


def build_rows(
    tokens: MarkedDocuments, plan: RowPlan, order: np.ndarray, frame: Frame, *, held_out: bool = False
) -> Iterator[dict[str, Any]]:
    """Put planned rows together, in batches of columns.

    Args:
        tokens: Tokens of the documents that the plan names.
        plan: The parts of each row.
        order: Which row comes when, ``(N,)``; a row may come several times.
        frame: The special tokens around each part.
        held_out: Whether these are validation rows, whose numbers are -1, -2 and so on: their masks never change.

    Yields:
        ``input_ids``, ``word_starts`` (at the first token of every part, and at special ones, always),
        ``document_lengths`` (tokens of each part, special ones included), ``row``, and the first document.
    """
    before = np.asarray(frame.before, dtype=np.int32) * 2 + 1
    after = np.asarray(frame.after, dtype=np.int32) * 2 + 1
    begins, ends = plan.begins, plan.ends
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        counts = ends[rows] - begins[rows]
        parts = np.concatenate([np.arange(begins[row], ends[row]) for row in rows])
        pieces = []
        for part in parts.tolist():
            document, start, stop = int(plan.document[part]), int(plan.start[part]), int(plan.stop[part])
            pieces += [before, tokens.part(document, start, stop), after]
        lengths = plan.stop[parts] - plan.start[parts] + len(frame)
        marked = np.concatenate(pieces)
        marked[np.cumsum(lengths) - lengths + len(before)] |= 1
        of_rows = np.add.reduceat(lengths, np.cumsum(counts) - counts)
        numbers = np.arange(first, first + len(rows))
        yield {
            "input_ids": as_lists(marked >> 1, of_rows),
            "word_starts": as_lists((marked & 1).astype(bool), of_rows),
            "document_lengths": as_lists(lengths.astype(np.int32), counts),
            "row": -1 - numbers if held_out else numbers,
            FIRST_DOCUMENT: plan.document[begins[rows]],
        }


def as_lists(values: np.ndarray, lengths: np.ndarray) -> pa.ListArray:
    """Cut values into lists of the given lengths."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values)
