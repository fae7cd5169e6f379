"""From flags to documents: find files, read them, leave out repeats, hold some out, choose the segmenter."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_ext.data.arguments import SourceArguments
from hf_ext.data.checks.findings import Finding
from hf_ext.data.hub import load_hub_rows
from hf_ext.data.pretraining.arguments import PretrainingDataArguments
from hf_ext.data.pretraining.corpus import Corpus, read_corpus, read_hub_corpus
from hf_ext.data.pretraining.corpus_files import TextSource, describe_files, find_named_sources, list_files
from hf_ext.data.pretraining.document_splits import DocumentSplit, StreamedSplit
from hf_ext.data.pretraining.documents import DocumentReader
from hf_ext.data.pretraining.holding_out import hold_out, note_leak
from hf_ext.data.pretraining.segmenters import choose_segmenter
from hf_ext.data.pretraining.stream_preparation import prepare_stream
from hf_ext.data.pretraining.text_hashes import find_different
from hf_ext.errors import UserError

SAMPLED = 2000  # documents looked at for Chinese


@dataclass
class Prepared:
    """What ``prepare`` has made; fields of ``PretrainingData``."""

    splits: dict[str, DocumentSplit | StreamedSplit]
    notes: list[str] = field(default_factory=list)
    split_indices: dict[str, Any] | None = None


def prepare(
    arguments: PretrainingDataArguments,
    *,
    needs: Collection[str],
    cache_dir: str | None = None,
    token: str | None = None,
) -> Prepared:
    """Do all that ``PretrainingData.from_arguments`` promises.

    Raises:
        UserError: If a split is missing or a file cannot be used.
    """
    if not needs:
        raise ValueError("needs must name train, validation or both")
    if "train" in needs and not (arguments.train_file or arguments.dataset_name):
        raise UserError("--do_train requires training text", fix="pass --train_file or --dataset_name")
    documents = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "hf_ext"
    if arguments.streaming:
        splits, notes, indices = prepare_stream(arguments, needs=needs, cache_dir=documents, token=token)
        return Prepared(splits, notes, indices)
    preparation = _Preparation(arguments, needs, documents)
    preparation.read(hub_cache=cache_dir, token=token)
    return preparation.split()


class _Preparation:
    """The steps of ``prepare`` for text that is kept on disk, which share what has been read."""

    def __init__(self, arguments: PretrainingDataArguments, needs: Collection[str], cache_dir: Path) -> None:
        self.arguments, self.needs, self.cache = arguments, needs, cache_dir
        self.sources: list[TextSource] = []
        self.train: Corpus | None = None
        self.validation: Corpus | None = None
        self.splits_train = arguments.validation_split_percentage > 0  # unless there is a validation text
        self.made = Prepared({})

    def read(self, *, hub_cache: str | None, token: str | None) -> None:
        """Read the validation text if it is needed, and the training text if it is needed or to be split."""
        self.sources, held_out = find_named_sources(self.arguments)
        if held_out:
            self.splits_train = False
            if "validation" in self.needs:
                self.validation = self._read_files(held_out)
        if self.sources:
            if "train" in self.needs or self.splits_train:
                self.train = self._read_files(self.sources)
        elif self.arguments.dataset_name:
            self._read_hub(hub_cache, token)
        if "validation" in self.needs and self.validation is None and not (self.splits_train and self.train):
            fix = "pass --validation_file, or a --validation_split_percentage above 0"
            raise UserError("--do_eval requires validation text", fix=fix)

    def split(self) -> Prepared:
        splits: dict[str, DocumentSplit] = {}
        if self.train is not None:
            kept = self._different(self.train)
            held_out = self._hold_out(self.train, kept)
            splits["train"] = self._training_split(self.train, np.setdiff1d(kept, held_out, assume_unique=True))
            splits["validation"] = _whole(self.train, held_out)
        if self.validation is not None:
            splits["validation"] = _whole(self.validation, np.arange(len(self.validation.documents)))
            self._note_leaks(self.validation, splits.get("train"))
        for name in ("train", "validation"):
            if name in self.needs:
                split = self.made.splits[name] = splits[name]
                asked = self.arguments
                split.segmenter = choose_segmenter(asked.segmenter, asked.masking, _sample(split.corpus))
        self.made.notes = list(dict.fromkeys(self.made.notes))
        return self.made

    def _read_files(self, sources: Sequence[TextSource]) -> Corpus:
        reader = DocumentReader.from_arguments(self.arguments)
        overwrite = self.arguments.overwrite_cache
        corpus = read_corpus(list_files(sources), reader, cache_dir=self.cache, overwrite=overwrite)
        self.made.notes += corpus.notes
        return corpus

    def _read_hub(self, hub_cache: str | None, token: str | None) -> None:
        asked = self.arguments
        named = SourceArguments(dataset_name=asked.dataset_name, dataset_config_name=asked.dataset_config_name)
        found = load_hub_rows(named, cache_dir=hub_cache, token=token)
        if "train" not in found:
            raise UserError(f"the data set {asked.dataset_name!r} has no training split", fix="choose another one")
        if "validation" in found and not asked.validation_file:
            self.splits_train = False
            if "validation" in self.needs:
                self.validation = self._read_hub_rows(*found["validation"])
        if "train" in self.needs or self.splits_train:
            self.train = self._read_hub_rows(*found["train"])

    def _read_hub_rows(self, source: str, rows: datasets.Dataset) -> Corpus:
        reader = DocumentReader.from_arguments(self.arguments)
        overwrite = self.arguments.overwrite_cache
        corpus = read_hub_corpus(source, rows, reader, cache_dir=self.cache, overwrite=overwrite)
        self.made.notes += corpus.notes
        return corpus

    def _different(self, train: Corpus) -> np.ndarray:
        hashes = train.column("hash")
        if not self.arguments.drop_duplicates:
            return np.arange(len(hashes))
        kept = find_different(hashes)
        if len(kept) < len(hashes):
            repeated = len(hashes) - len(kept)
            self.made.notes.append(Finding("dropped_documents", _name(train), repeated, "repeated documents left out"))
        return kept

    def _hold_out(self, train: Corpus, kept: np.ndarray) -> np.ndarray:
        asked = self.arguments
        if not self.splits_train or (len(kept) < 2 and "validation" not in self.needs):
            return kept[:0]
        percentage, seed = asked.validation_split_percentage, asked.split_seed
        sides = hold_out(train, kept, percentage=percentage, seed=seed, source_of=_source_of_files(train, self.sources))
        self.made.notes += sides.notes
        self.made.split_indices = sides.to_json(train, percentage, seed)
        return sides.validation

    def _training_split(self, train: Corpus, numbers: np.ndarray) -> DocumentSplit:
        weights = self.arguments.weights
        if not weights:
            return DocumentSplit("train", _name(train), train, [numbers])
        owners = _source_of_files(train, self.sources)[train.column("file")[numbers]]
        groups = [numbers[owners == i] for i in range(len(self.sources))]
        for source, group in zip(self.sources, groups, strict=True):
            if not len(group):
                what = "has no training document left (repeats may be left out, and a file named twice counts once)"
                raise UserError(what, where=source.name, fix="leave it out of --train_file and --data_weights")
        return DocumentSplit("train", _name(train), train, groups, weights)

    def _note_leaks(self, validation: Corpus, train: DocumentSplit | None) -> None:
        if train is not None:
            seen, theirs = train.corpus.column("hash")[np.concatenate(train.groups)], validation.column("hash")
            shared = int(np.isin(theirs, seen).sum())
            if shared:
                fix = "leave them out of one of the two"
                self.made.notes.append(note_leak(_name(validation), shared, len(theirs), fix))


def _whole(corpus: Corpus, numbers: np.ndarray) -> DocumentSplit:
    return DocumentSplit("validation", _name(corpus), corpus, [numbers])


def _name(corpus: Corpus) -> str:
    return describe_files(corpus.files)


def _sample(corpus: Corpus) -> Iterator[str]:
    step = max(1, len(corpus.documents) // SAMPLED)
    yield from corpus.documents.select(range(0, len(corpus.documents), step))["text"]


def _source_of_files(corpus: Corpus, sources: Sequence[TextSource]) -> np.ndarray:
    """Give the number of the source of each file; a file that two sources have belongs to the first."""
    owners: dict[str, int] = {}
    for i, source in enumerate(sources):
        for path in source.files:
            owners.setdefault(str(path), i)
    return np.array([owners.get(file, 0) for file in corpus.files])
