"""Training rows made while training, from files larger than the disk has room for twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import datasets
import numpy as np

from hf_ext.data.pretraining.document_splits import StreamedSplit, Texts
from hf_ext.data.pretraining.documents import Document
from hf_ext.data.pretraining.packed_rows import RowLayout
from hf_ext.data.pretraining.packing import PACKINGS
from hf_ext.data.pretraining.rows import build_rows
from hf_ext.data.pretraining.text_hashes import HeldOut
from hf_ext.data.pretraining.tokens import TokenEncoder
from hf_ext.data.special_tokens import Frame
from hf_ext.data.streaming import shuffle_stream

BUFFERED_ROWS = 1000  # rows' worth of tokens that are packed together
ENCODED = 200  # documents tokenised at a time
SHARD_BITS = 40  # row numbers: shard * 2**40 + number within the shard


def stream_rows(
    split: StreamedSplit, encoder: TokenEncoder, layout: RowLayout, *, buffer_size: int
) -> datasets.IterableDataset:
    """Give the rows of a stream, the same every time; ``set_epoch`` changes the order in the shuffle buffer.

    Without weights each file can be read by another loader process; with them one process reads all. Row numbers are
    those of the row within its files, whoever reads them. Documents are packed by the thousand rows.

    Args:
        split: The documents.
        encoder: How they become tokens.
        layout: How tokens become rows.
        buffer_size: Rows shuffled among each other.
    """
    shards = [[part] for part in split.sources[0].shards()] if not split.weights else [split.sources]
    maker = RowMaker(encoder, layout, split.held_out, split.weights)
    # without types: datasets would look at every token of every row to make sure of them
    rows = datasets.IterableDataset.from_generator(maker, gen_kwargs={"shards": list(enumerate(shards))})
    return shuffle_stream(rows, seed=layout.seed, buffer_size=buffer_size)


@dataclass
class RowMaker:
    """Make the rows of some shards; can be pickled for worker processes.

    Args:
        encoder: How documents become tokens.
        layout: How tokens become rows.
        held_out: Documents that are passed over.
        weights: Of the sources of a shard; empty where it has one.
    """

    encoder: TokenEncoder
    layout: RowLayout
    held_out: HeldOut
    weights: Sequence[float] = ()

    @property
    def frame(self) -> Frame:
        """The special tokens around a document."""
        if not isinstance(self.layout.frame, Frame):
            raise ValueError("pairs of sentences are not streamed")
        return self.layout.frame

    def __call__(self, shards: list[tuple[int, list[Texts]]]) -> Iterator[dict[str, Any]]:
        """Give the rows of each shard, numbered from ``shard * 2**40``."""
        for number, sources in shards:
            rows = self._mix(sources) if self.weights else self._pack(sources[0], seed=number)
            for i, row in enumerate(rows):
                yield {**row, "row": (number << SHARD_BITS) + i}

    def _mix(self, sources: Sequence[Texts]) -> Iterator[dict[str, Any]]:
        """Draw rows from the sources by weight until each has come to its end once; the others begin again."""
        generator = np.random.RandomState(self.layout.seed)
        shares = np.asarray(self.weights) / sum(self.weights)
        passes = [count() for _ in sources]
        rows = [iter(self._pack(texts, seed=next(n))) for texts, n in zip(sources, passes, strict=True)]
        unfinished = set(range(len(sources)))
        while unfinished:
            i = int(generator.choice(len(sources), p=shares))
            row = next(rows[i], None)
            if row is None:
                unfinished.discard(i)
                rows[i] = iter(self._pack(sources[i], seed=next(passes[i])))
                row = next(rows[i], None) if unfinished else None
            if row is not None:
                yield row

    def _pack(self, texts: Texts, *, seed: int) -> Iterator[dict[str, Any]]:
        """Pack the documents of one pass, buffer by buffer."""
        generator = np.random.RandomState((self.layout.seed + 7919 * seed) % 2**32)
        wanted = BUFFERED_ROWS * self.layout.max_length
        held: list[np.ndarray] = []
        for tokens in self._encode(document for document in texts.read() if not self.held_out.holds(document.text)):
            held.append(tokens)
            wanted -= len(tokens)
            if wanted <= 0:
                yield from self._rows(held, generator)
                held, wanted = [], BUFFERED_ROWS * self.layout.max_length
        if held:
            yield from self._rows(held, generator)

    def _encode(self, documents: Iterable[Document]) -> Iterator[np.ndarray]:
        texts: list[str] = []
        size = 0
        for document in documents:
            texts.append(document.text)
            size += len(document.text)
            if len(texts) == ENCODED or size >= 1_000_000:
                yield from self.encoder({"text": texts})["marked_ids"]
                texts, size = [], 0
        if texts:
            yield from self.encoder({"text": texts})["marked_ids"]

    def _rows(self, held: list[np.ndarray], generator: np.random.RandomState) -> Iterator[dict[str, Any]]:
        layout = self.layout
        lengths = np.array([len(tokens) for tokens in held])
        plan = PACKINGS[layout.packing](lengths, layout.max_length, len(self.frame))
        for batch in build_rows(_Held(held), plan, generator.permutation(len(plan)), self.frame):
            columns = {name: batch[name].to_pylist() for name in ("input_ids", "word_starts", "document_lengths")}
            for cells in zip(*columns.values(), strict=True):
                yield dict(zip(columns, cells, strict=True))


@dataclass
class _Held:
    """Tokens of documents in memory."""

    tokens: list[np.ndarray]

    def part(self, document: int, start: int, stop: int) -> np.ndarray:
        return self.tokens[document][start:stop]
