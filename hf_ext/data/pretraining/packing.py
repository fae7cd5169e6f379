"""How documents are put into rows of at most so many tokens without losing any.

Every document, and every part of one that is longer than a row, keeps its own special tokens (``[CLS] … [SEP]``), in
all three packings. So each is what the model would see of it alone where attention does not cross documents, and rows
look as those of the official ``run_mlm.py`` where it does.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RowPlan:
    """Which parts of which documents stand in which row; parts of a row stand together, in its order.

    Args:
        document: The document of each part, shape ``(P,)`` of int64.
        start: Its first token in that document, ``(P,)``.
        stop: The token behind its last, ``(P,)``.
        ends: The part behind the last one of each row, ``(R,)``.
    """

    document: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def begins(self) -> np.ndarray:
        """The first part of each row, ``(R,)``."""
        return np.concatenate([[0], self.ends])[:-1]


def pack_none(lengths: np.ndarray, max_length: int, overhead: int) -> RowPlan:
    """Give each document rows of its own: full ones, and a shorter one for the rest.

    Args:
        lengths: Tokens of each document, special ones not counted.
        max_length: Most tokens in a row, special ones included.
        overhead: Special tokens around each part.
    """
    document, start, stop = _cut(lengths, max_length - overhead)
    return RowPlan(document, start, stop, np.arange(1, len(document) + 1))


def pack_best_fit(lengths: np.ndarray, max_length: int, overhead: int) -> RowPlan:
    """Put parts together so that nearly every row is full and no document is cut that fits into a row.

    Best fit decreasing: the longest part first, each into the fullest row that has room for it (Johnson et al., 1974;
    for pretraining Ding et al., 2024, arXiv:2404.10830). O(P log max_length): rows are looked up by the room they have
    left, of which there are at most max_length values. When: unless the order of the text matters.

    Args:
        lengths: Tokens of each document, special ones not counted.
        max_length: Most tokens in a row, special ones included.
        overhead: Special tokens around each part.
    """
    document, start, stop = _cut(lengths, max_length - overhead)
    sizes = stop - start + overhead
    longest_first = np.argsort(-sizes, kind="stable")
    rows = np.empty(len(sizes), dtype=np.int64)
    open_rows: dict[int, list[int]] = {}  # rows by the room they have left
    rooms: list[int] = []  # keys of open_rows, ascending
    count = 0
    for part, size in zip(longest_first.tolist(), sizes[longest_first].tolist(), strict=True):
        place = bisect_left(rooms, size)
        if place == len(rooms):
            row, left = count, max_length - size
            count += 1
        else:
            room = rooms[place]
            row, left = open_rows[room].pop(), room - size
            if not open_rows[room]:
                del open_rows[room]
                rooms.pop(place)
        rows[part] = row
        if left > overhead:
            if left not in open_rows:
                open_rows[left] = []
                insort(rooms, left)
            open_rows[left].append(row)
    order = np.argsort(rows, kind="stable")  # within a row, the order of the text
    ends = np.cumsum(np.bincount(rows, minlength=count)).astype(np.int64)
    return RowPlan(document[order], start[order], stop[order], ends)


def pack_concat(lengths: np.ndarray, max_length: int, overhead: int) -> RowPlan:
    """Fill row after row in the order of the text; a document goes on in the next row where a row is full.

    Only the last row can be much shorter than the others; a few lack the tokens (at most ``overhead``) in which no
    further part has room. When: to compare with the official script, or for documents that belong together in their
    order. Most rows then begin in the middle of a document.

    Args:
        lengths: Tokens of each document, special ones not counted.
        max_length: Most tokens in a row, special ones included.
        overhead: Special tokens around each part.
    """
    parts: list[tuple[int, int, int]] = []
    ends: list[int] = []
    left = max_length
    for document, length in enumerate(lengths.tolist()):
        start = 0
        while start < length:
            if left <= overhead:
                ends.append(len(parts))
                left = max_length
            stop = min(length, start + left - overhead)
            parts.append((document, start, stop))
            left -= stop - start + overhead
            start = stop
    if parts:
        ends.append(len(parts))
    columns = np.array(parts, dtype=np.int64).reshape(-1, 3)
    return RowPlan(columns[:, 0], columns[:, 1], columns[:, 2], np.array(ends, dtype=np.int64))


def _cut(lengths: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut documents into parts of ``room`` tokens and a rest; give document, start and stop of each part."""
    lengths = lengths.astype(np.int64)
    counts = -(-lengths // room)
    document = np.repeat(np.arange(len(lengths)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    start = (np.arange(len(document)) - first) * room
    return document, start, np.minimum(start + room, lengths[document])


PACKINGS: dict[str, Callable[[np.ndarray, int, int], RowPlan]] = {
    "best_fit": pack_best_fit,
    "concat": pack_concat,
    "none": pack_none,
}
