"""Rows of two segments: does the second follow the first, or are they in order?

Segments are whole sentences, neighbours in their document, and together fill a row where the document is long enough.
Everything is drawn once, here, and kept with the rows; only the masks change from epoch to epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np

from hf_ext.data.pretraining.rows import FIRST_DOCUMENT, ROWS, MarkedDocuments, as_lists
from hf_ext.data.special_tokens import PairFrame

BATCH = 1000  # rows written at a time
PAIR_ROWS = datasets.Features(
    {
        **ROWS,
        "token_type_ids": datasets.List(datasets.Value("int8")),
        "next_sentence_label": datasets.Value("int64"),
    }
)

# columns of a plan: document, start and stop (in tokens) of the first segment, then of the second
FIRST, SECOND = slice(0, 3), slice(3, 6)


@dataclass(frozen=True)
class PairPlan:
    """Which segments stand in which row.

    Args:
        segments: Document, start and stop of the first segment and of the second, ``(R, 6)`` of int64.
        labels: 0 where the second segment follows the first in its document, else 1, ``(R,)``.
    """

    segments: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def plan_pairs(sentences: Sequence[np.ndarray], room: int, *, kind: str, seed: int) -> PairPlan:
    """Cut documents into pairs of segments, half of which are then made wrong.

    Sentences are added to a pair while they fit; a random one of them begins the second segment (Devlin et al., 2019,
    A.2). A sentence without another to pair it with is cut in the middle, one longer than half of the room into parts
    of that length. Unlike there, no pair is made shorter by chance, and no token is used twice or left out, but for the
    few by which exchanged segments may be too long: see ``_exchange``.

    Args:
        sentences: Tokens of each sentence of each document.
        room: Most tokens of both segments together, at least 2.
        kind: ``next_sentence`` or ``sentence_order``.
        seed: Of the draws.

    Raises:
        ValueError: If all sentences are of one document and the second segments are to come from another.
    """
    generator = np.random.RandomState(seed)
    pairs = [
        (document, start, middle, document, middle, stop)
        for document, lengths in enumerate(sentences)
        for start, middle, stop in _cut_pairs(lengths, room, generator)
    ]
    segments = np.array(pairs, dtype=np.int64).reshape(-1, 6)
    wrong = generator.permutation(len(segments))[: len(segments) // 2]
    return PairPlan(*_MAKE_WRONG[kind](segments, wrong, room))


def build_pair_rows(
    tokens: MarkedDocuments, plan: PairPlan, order: np.ndarray, frame: PairFrame, *, held_out: bool = False
) -> Iterator[dict[str, Any]]:
    """Put planned pairs together, in batches of columns.

    Args:
        tokens: Tokens of the documents that the plan names.
        plan: The segments of each row.
        order: Which row comes when, ``(N,)``; a row may come several times.
        frame: The special tokens around and between segments.
        held_out: Whether these are validation rows, whose numbers are -1, -2 and so on.

    Yields:
        What ``build_rows`` gives, each row being one document; ``token_type_ids``, 1 for the second segment and what
        is behind it; and ``next_sentence_label``.
    """
    before, between, after = (
        np.asarray(ids, dtype=np.int32) * 2 + 1 for ids in (frame.before, frame.between, frame.after)
    )
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        marked, types, lengths = [], [], []
        for segments in plan.segments[rows].tolist():
            a, b = tokens.part(*segments[FIRST]).copy(), tokens.part(*segments[SECOND]).copy()
            a[0] |= 1
            b[0] |= 1
            marked += [before, a, between, b, after]
            ones = len(b) + len(after)
            lengths.append(len(before) + len(a) + len(between) + ones)
            types.append(np.repeat(np.array([0, 1], dtype=np.int8), [lengths[-1] - ones, ones]))
        joined, sizes = np.concatenate(marked), np.array(lengths)
        numbers = np.arange(first, first + len(rows))
        yield {
            "input_ids": as_lists(joined >> 1, sizes),
            "word_starts": as_lists((joined & 1).astype(bool), sizes),
            "document_lengths": as_lists(sizes.astype(np.int32), np.ones(len(rows), dtype=np.int64)),
            "row": -1 - numbers if held_out else numbers,
            FIRST_DOCUMENT: plan.segments[rows, 0],
            "token_type_ids": as_lists(np.concatenate(types), sizes),
            "next_sentence_label": plan.labels[rows],
        }


def _cut_pairs(lengths: np.ndarray, room: int, generator: np.random.RandomState) -> Iterator[tuple[int, int, int]]:
    """Give start, middle and stop, in tokens, of each pair of a document."""
    held: list[int] = []  # where the sentences end that make the next pair
    start = 0
    for end in _sentence_ends(lengths, max(1, room // 2)):
        if held and end - start > room:
            yield from _one_pair(start, held, generator)
            start, held = held[-1], []
        held.append(end)
    if held:
        yield from _one_pair(start, held, generator)


def _one_pair(start: int, ends: list[int], generator: np.random.RandomState) -> Iterator[tuple[int, int, int]]:
    if len(ends) > 1:
        yield start, ends[generator.randint(len(ends) - 1)], ends[-1]
    elif ends[0] - start > 1:
        yield start, (start + ends[0]) // 2, ends[0]


def _sentence_ends(lengths: np.ndarray, longest: int) -> Iterator[int]:
    end = 0
    for length in lengths.tolist():
        for taken in range(longest, length, longest):
            yield end + taken
        end += length
        yield end


def _swap(segments: np.ndarray, wrong: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Put the second segment first (sentence order prediction, Lan et al., 2020, arXiv:1909.11942)."""
    made = segments.copy()
    made[wrong] = np.concatenate([segments[wrong, SECOND], segments[wrong, FIRST]], axis=1)
    labels = np.zeros(len(made), dtype=np.int64)
    labels[wrong] = 1
    return made, labels


def _exchange(segments: np.ndarray, wrong: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Exchange second segments between pairs of different documents (next sentence prediction, Devlin et al., 2019).

    Both have about the same length, so that no length tells the label; what is too long for its new row loses its end.
    Where no partner of another document is left, a pair stays right.
    """
    documents = segments[:, 0]
    if len(segments) > 1 and (documents == documents[0]).all():
        raise ValueError("second segments are taken from other documents, and there is one document only")
    made = segments.copy()
    labels = np.zeros(len(made), dtype=np.int64)
    sizes = segments[:, 5] - segments[:, 4]
    waiting: list[int] = []  # all of one document, or two of them would have been partners
    for row in wrong[np.argsort(sizes[wrong], kind="stable")].tolist():
        if not waiting or documents[waiting[-1]] == documents[row]:
            waiting.append(row)
            continue
        other = waiting.pop()
        for here, there in ((row, other), (other, row)):
            made[here, SECOND] = segments[there, SECOND]
            left = room - (made[here, 2] - made[here, 1])
            made[here, 5] = min(made[here, 5], made[here, 4] + left)
            labels[here] = 1
    return made, labels


_MAKE_WRONG: dict[str, Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]] = {
    "next_sentence": _exchange,
    "sentence_order": _swap,
}
