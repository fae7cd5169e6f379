"""The documents of a split: in a table on disk, or streamed from their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import datasets
import numpy as np

from hf_ext.data.pretraining.corpus import Corpus
from hf_ext.data.pretraining.documents import Document, DocumentReader
from hf_ext.data.pretraining.text_hashes import HeldOut

MOST_SHARDS = 64


@dataclass
class DocumentSplit:
    """The documents of one split.

    Args:
        name: ``train`` or ``validation``.
        source: Where they come from, for messages.
        corpus: The table that they stand in, perhaps among those of another split.
        groups: Their numbers in it, ascending; a group for each source where sources are weighed, else one.
        weights: Of the groups; empty for rows as they come.
        segmenter: What finds the words of its Chinese documents; None takes the tokenizer's.
    """

    name: str
    source: str
    corpus: Corpus
    groups: list[np.ndarray]
    weights: list[float] = field(default_factory=list)
    segmenter: str | None = None

    def texts(self) -> Iterator[str]:
        """Give the text of each document."""
        for group in self.groups:
            for batch in self.corpus.documents.select_columns("text").select(group).iter(batch_size=1000):
                yield from batch["text"]


class Texts(Protocol):
    """Documents that can be read again and again."""

    def read(self) -> Iterator[Document]:
        """Give the documents, in order."""


@dataclass
class FileTexts:
    """The documents of some files."""

    paths: tuple[Path, ...]
    reader: DocumentReader

    def read(self) -> Iterator[Document]:
        """Give the documents, in order."""
        return (document for path in self.paths for document in self.reader.read(path))

    def shards(self) -> list[FileTexts]:
        """Deal the files out, so that loader processes can each read some."""
        number = min(len(self.paths), MOST_SHARDS)
        return [FileTexts(self.paths[i::number], self.reader) for i in range(number)]


@dataclass
class HubTexts:
    """The documents of a streamed data set of the Hub."""

    source: str
    rows: datasets.IterableDataset
    reader: DocumentReader

    def read(self) -> Iterator[Document]:
        """Give the documents, in order."""
        return self.reader.read_rows(enumerate(self.rows, 1), self.source)

    def shards(self) -> list[HubTexts]:
        """One."""
        return [self]


@dataclass
class StreamedSplit:
    """Training documents that stay in their files.

    Args:
        source: Where they come from, for messages.
        sources: The documents of each source; of all together where sources are not weighed.
        held_out: Documents among them that are not for training.
        weights: Of the sources; empty for one after the other.
        segmenter: What finds the words of Chinese documents; None takes the tokenizer's.
    """

    source: str
    sources: list[FileTexts | HubTexts]
    held_out: HeldOut
    weights: list[float] = field(default_factory=list)
    segmenter: str | None = None
    name: str = "train"

    def documents(self) -> Iterator[Document]:
        """Give each training document once."""
        for texts in self.sources:
            yield from (document for document in texts.read() if not self.held_out.holds(document.text))

    def texts(self) -> Iterator[str]:
        """Give the text of each training document once."""
        return (document.text for document in self.documents())
