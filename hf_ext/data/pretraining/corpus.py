"""All documents of some files as one table on disk, read once and kept for the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_ext.data.pretraining.arrow_files import load_table, write_table
from hf_ext.data.pretraining.corpus_files import describe_files
from hf_ext.data.pretraining.documents import Document, DocumentReader
from hf_ext.data.pretraining.text_hashes import HeldOut, hash_text
from hf_ext.errors import UserError
from hf_ext.progress import with_bar

FORMAT_VERSION = 2  # raise it when the documents of the same files change
BATCH = 1000  # documents written at a time
FEATURES = datasets.Features(
    {
        "text": datasets.Value("string"),
        "file": datasets.Value("int32"),
        "line": datasets.Value("int64"),
        "hash": datasets.Value("uint64"),
    }
)


@dataclass
class Corpus:
    """Documents on disk.

    Args:
        documents: ``text``, ``file`` (place in ``files``), ``line`` and ``hash`` (of the text) of each.
        files: Names of the files, for messages.
        key: A hash of all that decides the documents.
        notes: What a reader of the log should know, one sentence each.
    """

    documents: datasets.Dataset
    files: list[str]
    key: str
    notes: list[str] = field(default_factory=list)

    def column(self, name: str) -> np.ndarray:
        """Give the numbers of a column, one a document."""
        return np.asarray(self.documents.data.column(name).to_numpy())

    def where(self, number: int) -> str:
        """Give ``file:line`` of a document."""
        document = self.documents[number]
        return f"{self.files[document['file']]}:{document['line']}"


def read_corpus(
    paths: Sequence[Path],
    reader: DocumentReader,
    *,
    cache_dir: Path,
    overwrite: bool = False,
    keep: HeldOut | None = None,
) -> Corpus:
    """Read all documents of some files in order, or load what an earlier call has read from the same content.

    Args:
        paths: The files.
        reader: How they are read.
        cache_dir: Where the table is kept.
        overwrite: Read them again nevertheless.
        keep: Which documents to keep; None for all.

    Raises:
        UserError: If a file cannot be read, or there is no text in any.
    """
    digest = hashlib.sha256(json.dumps([FORMAT_VERSION, *reader.state, repr(keep)]).encode())
    for path in paths:
        digest.update(str(path).encode())
        digest.update(_hash_file(path))
    numbered = ((i, document) for i, path in enumerate(paths) for document in reader.read(path))
    if keep is not None:
        numbered = ((i, document) for i, document in numbered if keep.holds(document.text))
    files = [str(path) for path in paths]
    key = digest.hexdigest()[:32]
    corpus = _keep(numbered, files, key, reader.notes, cache_dir=cache_dir, overwrite=overwrite)
    if keep is not None and not len(corpus.documents):
        fix = "raise --validation_split_percentage, or pass --validation_file"
        raise UserError("no document falls into the share that is held out", where=describe_files(files), fix=fix)
    return _not_empty(corpus)


def read_hub_corpus(
    source: str, rows: datasets.Dataset, reader: DocumentReader, *, cache_dir: Path, overwrite: bool = False
) -> Corpus:
    """Read the documents of a split of a Hub data set; the "line" of a row is its number from 1.

    Raises:
        UserError: If it has no text column, or no text.
    """
    state = [FORMAT_VERSION, *reader.state, source, rows._fingerprint]
    key = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:32]
    column = reader.choose_column(rows.column_names, source)
    cells = (cell for batch in rows.select_columns([column]).iter(BATCH) for cell in batch[column])
    numbered = ((i, {column: cell}) for i, cell in enumerate(cells, 1))
    documents = ((0, document) for document in reader.read_rows(numbered, source))
    return _not_empty(_keep(documents, [source], key, reader.notes, cache_dir=cache_dir, overwrite=overwrite))


def keep_documents(source: str, documents: Iterable[Document], *, cache_dir: Path) -> Corpus:
    """Write documents of a stream to disk, anew at each call, because what a stream holds can change unnoticed.

    Args:
        source: Where they come from.
        documents: The documents.
        cache_dir: Where the table is kept.

    Raises:
        UserError: If there is none.
    """
    name = hashlib.sha256(source.encode()).hexdigest()[:32]
    kept = _keep(((0, document) for document in documents), [source], name, [], cache_dir=cache_dir, overwrite=True)
    _not_empty(kept).key = hashlib.sha256(kept.column("hash").tobytes()).hexdigest()[:32]
    return kept


def _keep(
    documents: Iterable[tuple[int, Document]],
    files: list[str],
    key: str,
    notes: list[str],
    *,
    cache_dir: Path,
    overwrite: bool,
) -> Corpus:
    path = cache_dir / f"documents-{key}.arrow"
    loaded = None if overwrite else load_table(path, key)
    if loaded is None:
        write_table(path, FEATURES, _batches(with_bar(documents, "read documents", unit="documents")), notes)
        loaded = load_table(path, key)
    if loaded is None:
        raise UserError("the documents just written are gone", where=str(path), fix="name another --cache_dir")
    return Corpus(loaded[0], files, key, loaded[1])


def _not_empty(corpus: Corpus) -> Corpus:
    if not len(corpus.documents):
        raise UserError("no text", where=describe_files(corpus.files), fix="check that this is the right text")
    return corpus


def _batches(documents: Iterable[tuple[int, Document]]) -> Iterator[dict[str, Any]]:
    documents = iter(documents)
    while batch := list(islice(documents, BATCH)):
        yield {
            "text": [document.text for _, document in batch],
            "file": [file for file, _ in batch],
            "line": [document.line for _, document in batch],
            "hash": [hash_text(document.text) for _, document in batch],
        }


def _hash_file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=str(path), fix="check the file") from None
