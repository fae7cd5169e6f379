"""From flags to documents: find files, read them, leave out repeats, hold documents out, choose the segmenter."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_ext.data.arguments import SourceArguments
from hf_ext.data.hub import load_hub_rows
from hf_ext.data.pretraining.arguments import PretrainingDataArguments
from hf_ext.data.pretraining.corpus import Corpus, read_corpus, read_hub_corpus
from hf_ext.data.pretraining.corpus_files import TextSource, find_sources
from hf_ext.data.pretraining.documents import DocumentReader
from hf_ext.data.pretraining.holding_out import Sides, find_different, hold_out, note_leak
from hf_ext.data.pretraining.segmenters import DEFAULT_SEGMENTER, load_segmenter
from hf_ext.data.pretraining.tokens import HEAD
from hf_ext.errors import UserError
from hf_ext.han import han_prevails

NAMED_SOURCES = 3  # in a message
SCRIPTS_SAMPLED = 2000  # documents looked at for Chinese


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


@dataclass
class Prepared:
    """What ``prepare`` has made; fields of ``PretrainingData``."""

    splits: dict[str, DocumentSplit]
    notes: list[str]
    split_indices: dict[str, Any] | None


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
    return _Preparation(arguments, needs, cache_dir, token).run()


class _Preparation:
    """The steps of ``prepare``, which share the flags, the sources and the notes."""

    def __init__(
        self, arguments: PretrainingDataArguments, needs: Collection[str], cache_dir: str | None, token: str | None
    ) -> None:
        self.arguments, self.needs, self.token = arguments, needs, token
        self.hub_cache = cache_dir
        self.cache = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "hf_ext"
        self.notes: list[str] = []
        self.indices: dict[str, Any] | None = None

    def run(self) -> Prepared:
        train, validation, sources = self._read()
        if "train" in self.needs and train is None:
            raise UserError("--do_train requires training text", fix="pass --train_file or --dataset_name")
        if "validation" in self.needs and validation is None and not self._splits(train):
            fix = "pass --validation_file, or a --validation_split_percentage above 0"
            raise UserError("--do_eval requires validation text", fix=fix)
        splits: dict[str, DocumentSplit] = {}
        if train is not None:
            sides = self._divide(train, validation, sources)
            splits["train"] = self._training_split(train, sides.train, sources)
            if validation is None and len(sides.validation):
                splits["validation"] = DocumentSplit("validation", _name(train), train, [sides.validation])
        if validation is not None:
            numbers = np.arange(len(validation.documents))
            splits["validation"] = DocumentSplit("validation", _name(validation), validation, [numbers])
        wanted = {name: splits[name] for name in ("train", "validation") if name in self.needs}
        for split in wanted.values():
            split.segmenter = self._choose_segmenter(split.corpus)
        return Prepared(wanted, list(dict.fromkeys(self.notes)), self.indices)

    def _read(self) -> tuple[Corpus | None, Corpus | None, list[TextSource]]:
        """Read the training text if this run needs it, or holds out of it, and the validation text if it needs it."""
        arguments = self.arguments
        train = validation = None
        held: list[TextSource] = []
        if arguments.validation_file:
            held = find_sources(arguments.validation_file, flag="validation_file")
        named = [path for source in held for path in source.files]
        sources: list[TextSource] = []
        if arguments.train_file:
            sources = find_sources(arguments.train_file, flag="train_file", without=named)
        if arguments.weights and len(arguments.weights) != len(sources):
            what = f"--data_weights gives {len(arguments.weights)} weights for {len(sources)} sources of --train_file"
            raise UserError(what, fix="give each source one weight")
        if arguments.dataset_name and not sources:
            train, validation = self._read_hub()
        if held:
            validation = self._read_files(held) if "validation" in self.needs else None
        if sources and ("train" in self.needs or not held):
            train = self._read_files(sources)
        return train, validation, sources

    def _read_files(self, sources: Sequence[TextSource]) -> Corpus:
        files = list(dict.fromkeys(path for source in sources for path in source.files))
        reader = DocumentReader.from_arguments(self.arguments)
        corpus = read_corpus(files, reader, cache_dir=self.cache, overwrite=self.arguments.overwrite_cache)
        self.notes += corpus.notes
        return corpus

    def _read_hub(self) -> tuple[Corpus | None, Corpus | None]:
        named = SourceArguments(
            dataset_name=self.arguments.dataset_name, dataset_config_name=self.arguments.dataset_config_name
        )
        found = load_hub_rows(named, cache_dir=self.hub_cache, token=self.token)
        corpora: list[Corpus | None] = []
        for role in ("train", "validation"):
            corpus = None
            if role in found:
                source, rows = found[role]
                reader = DocumentReader.from_arguments(self.arguments)
                overwrite = self.arguments.overwrite_cache
                corpus = read_hub_corpus(source, rows, reader, cache_dir=self.cache, overwrite=overwrite)
                self.notes += corpus.notes
            corpora.append(corpus)
        return corpora[0], corpora[1]

    def _splits(self, train: Corpus | None) -> bool:
        return train is not None and self.arguments.validation_split_percentage > 0

    def _divide(self, train: Corpus, validation: Corpus | None, sources: Sequence[TextSource]) -> Sides:
        arguments, source = self.arguments, _name(train)
        hashes = train.column("hash")
        kept = np.arange(len(hashes))
        if arguments.drop_duplicates:
            kept = find_different(hashes)
            if len(kept) < len(hashes):
                self.notes.append(f"{source}: {len(hashes) - len(kept)} repeated documents left out")
        if validation is not None:
            theirs = validation.column("hash")
            shared = int(np.isin(theirs, hashes[kept]).sum())
            if shared:
                self.notes.append(note_leak(shared, len(theirs), "leave them out of one of the two"))
            return Sides(kept, kept[:0])
        if not self._splits(train) or arguments.validation_file or (len(kept) < 2 and "validation" not in self.needs):
            return Sides(kept, kept[:0])
        percentage, seed = arguments.validation_split_percentage, arguments.split_seed
        source_of = _source_of_files(train, sources)
        sides = hold_out(train, kept, percentage=percentage, seed=seed, source_of=source_of)
        self.notes += [f"{source}: {note}" for note in sides.notes]
        self.indices = sides.to_json(train, percentage, seed)
        return sides

    def _training_split(self, train: Corpus, numbers: np.ndarray, sources: Sequence[TextSource]) -> DocumentSplit:
        weights = self.arguments.weights
        if not weights:
            return DocumentSplit("train", _name(train), train, [numbers])
        owners = _source_of_files(train, sources)[train.column("file")[numbers]]
        groups = [numbers[owners == i] for i in range(len(sources))]
        for source, group in zip(sources, groups, strict=True):
            if not len(group):
                what = "has no training document left (repeats are left out, and files named twice count once)"
                raise UserError(what, where=source.name, fix="leave it out of --train_file and --data_weights")
        return DocumentSplit("train", _name(train), train, groups, weights)

    def _choose_segmenter(self, corpus: Corpus) -> str | None:
        """Choose what finds the words of Chinese documents: nothing where tokens are masked one by one."""
        name = self.arguments.segmenter
        if self.arguments.masking == "token" or name == "none":
            return None
        if name == "auto":
            step = max(1, len(corpus.documents) // SCRIPTS_SAMPLED)
            sample = range(0, len(corpus.documents), step)
            texts = (text[:HEAD] for text in corpus.documents.select(sample)["text"])
            if not any(han_prevails([text]) for text in islice(texts, SCRIPTS_SAMPLED)):
                return None
            name = DEFAULT_SEGMENTER
        load_segmenter(name)
        return name


def _source_of_files(corpus: Corpus, sources: Sequence[TextSource]) -> np.ndarray:
    """Give the number of the source of each file; a file that two sources have belongs to the first."""
    owners: dict[str, int] = {}
    for i, source in enumerate(sources):
        for path in source.files:
            owners.setdefault(str(path), i)
    return np.array([owners.get(file, 0) for file in corpus.files])


def _name(corpus: Corpus) -> str:
    more = len(corpus.files) - NAMED_SOURCES
    return ", ".join(corpus.files[:NAMED_SOURCES]) + (f" and {more} more files" if more > 0 else "")
