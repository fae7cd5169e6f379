"""Everything that a tagging run reads: sentences, schema, features; and predictions back to words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets
from transformers import PreTrainedTokenizerBase

from hf_ext.data.checks.findings import Finding
from hf_ext.data.features import limit_length, make_features
from hf_ext.data.tagging.arguments import TaggingDataArguments
from hf_ext.data.tagging.features import CUT_COLUMN, REPLACED_COLUMN, TaggingEncoder
from hf_ext.data.tagging.merging import MergedTags, merge_windows
from hf_ext.data.tagging.preparation import Prepared, prepare, prepare_training_sentences
from hf_ext.data.tagging.sentences import SentenceFile, Span
from hf_ext.models.tagging_schema import TaggingSchema

LOCATED_ROWS = 5
ROWS = datasets.Features(
    {
        "sentence": datasets.Value("int32"),
        "words": datasets.List(datasets.Value("string")),
        "tags": datasets.List(datasets.Value("string")),
        "label": datasets.Value("string"),
    }
)


@dataclass
class TaggingData:
    """The splits of a tagging task, checked and described.

    Args:
        schema: Tags, scheme and all else that a saved model must know; fitted on the training split, or its own.
        splits: The sentences of each split that the run needs, tags in the scheme of the schema.
        notes: What a reader of the log should know, one sentence each; ``tokenize`` adds some.
        split_indices: What ``split_indices.json`` should hold when one file was split, else None.
        arguments: The flags that it was made from.
        max_length: Longest window in tokens that ``tokenize`` has allowed; None before.
    """

    schema: TaggingSchema
    splits: dict[str, SentenceFile]
    notes: list[str] = field(default_factory=list)
    split_indices: dict[str, Any] | None = None
    arguments: TaggingDataArguments = field(default_factory=TaggingDataArguments)
    max_length: int | None = None
    _rows: dict[str, list[int]] = field(default_factory=dict, repr=False)  # the sentence of each window
    _pads_left: bool = field(default=False, repr=False)

    @classmethod
    def from_arguments(
        cls,
        arguments: TaggingDataArguments,
        *,
        saved: TaggingSchema | None,
        needs: Collection[str],
        cache_dir: str | None = None,
        token: str | None = None,
    ) -> TaggingData:
        """Read the files that this run needs, settle scheme and level, fit the tags, check every sentence.

        Args:
            arguments: Where the sentences are and what their tags mean.
            saved: The schema of the model that is loaded, or None. Without training it decides tags, scheme and level;
                with training its tags are kept, in their order, if they cover those of the training sentences.
            needs: Among ``train``, ``validation``, ``test``: what the run trains on, evaluates, predicts.
            cache_dir: Where files of the Hub are kept.
            token: Hub token for private data sets.

        Raises:
            UserError: If a split is missing or anything in the sentences cannot be used, with file and line.
        """
        made: Prepared = prepare(arguments, saved=saved, needs=needs, cache_dir=cache_dir, token=token)
        return cls(made.schema, made.splits, made.notes, made.split_indices, arguments)

    @classmethod
    def of_training_sentences(
        cls,
        arguments: TaggingDataArguments,
        *,
        saved: TaggingSchema,
        cache_dir: str | None = None,
        token: str | None = None,
    ) -> TaggingData:
        """Read all sentences of the training file as test sentences, in input order.

        Args:
            arguments: Where the sentences are.
            saved: The schema of a model that was trained on some of them.
            cache_dir: Where files of the Hub are kept.
            token: Hub token for private data sets.

        Raises:
            UserError: If anything in the sentences cannot be used, with file and line.
        """
        made = prepare_training_sentences(arguments, saved=saved, cache_dir=cache_dir, token=token)
        return cls(made.schema, made.splits, made.notes, made.split_indices, arguments)

    def training_texts(self) -> Iterator[str]:
        """Give the words of every training sentence, joined by blanks, e.g. to build a vocabulary from."""
        for words in self.words("train"):
            yield " ".join(words)

    def fit_characters(self, *, min_count: int = 1) -> None:
        """Let the schema know the characters of the training words, which a character encoder needs.

        Call it before the model is built and before ``tokenize``; the features then hold ``char_ids``. What a saved
        schema knows stays.

        Args:
            min_count: Rarer characters are unknown.
        """
        if not self.schema.characters:
            counts = Counter(character for words in self.words("train") for word in words for character in word)
            known = "".join(sorted(character for character, n in counts.items() if n >= min_count))
            self.schema = replace(self.schema, characters=known)

    def tokenize(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        cache_dir: Path,
        overwrite: bool = False,
        num_workers: int | None = None,
        positions: int | None = None,
    ) -> dict[str, datasets.Dataset]:
        """Turn each split into windows of features.

        Call it on the main process first; the others then load what it has written.

        Args:
            tokenizer: A fast tokenizer of transformers; one of the RoBERTa kind loaded with ``add_prefix_space``.
            cache_dir: Where features are kept; the same sentences and the same settings are not tokenised twice.
            overwrite: Make them again nevertheless.
            num_workers: Processes that tokenise.
            positions: The longest sequence that the model takes; None when it has no limit.

        Returns:
            By split, a row for each window, as ``TaggingEncoder`` makes them; the test split never holds labels.

        Raises:
            UserError: If the tokenizer is slow, or the windows are too short to hold a token.
        """
        self.max_length, notes = limit_length(self.schema.max_length, tokenizer, positions)
        self._note(notes if self.arguments.max_seq_length is not None else [])
        self._pads_left = tokenizer.padding_side == "left"
        features = {}
        for name, file in self.splits.items():
            encoder = self._encoder(tokenizer, name)
            made = make_features(
                self._table(file),
                encoder,
                cache_dir=cache_dir,
                overwrite=overwrite,
                num_workers=num_workers,
                description=f"Tokenising {name}",
            )
            self._rows[name] = made["sentence"][:]
            self._note(note_windows(made, file, self.max_length, encoder.overlap))
            features[name] = made.remove_columns([CUT_COLUMN, REPLACED_COLUMN])
        return features

    def merge(self, split: str, features: datasets.Dataset, predictions: Any) -> MergedTags:
        """Put the predictions of the windows of a split together, one value for each word of each sentence.

        Args:
            split: Name of the split.
            features: What ``tokenize`` gave for it.
            predictions: ``Trainer.predict(...).predictions``, whole or as a list of batches; see ``merge_windows``.

        Raises:
            ValueError: If the predictions do not belong to these windows.
        """
        lengths = [len(words) for words in self.words(split)]
        joint = bool(self.schema.sentence_labels)
        return merge_windows(lengths, features, predictions, joint=joint, left=self._pads_left)

    def words(self, split: str) -> list[list[str]]:
        """Give the words of each sentence, as written."""
        return [sentence.words for sentence in self.splits[split].sentences]

    def tags(self, split: str) -> list[list[str] | None]:
        """Give the tags of each sentence in the scheme of the schema.

        None for a sentence that cannot be scored: without tags, or with some that the model does not know
        (``--unknown_labels ignore``). That happens in the test split only.
        """
        return [sentence.tags if sentence.scored else None for sentence in self.splits[split].sentences]

    def sentence_labels(self, split: str) -> list[str | None]:
        """Give the label of each sentence, None where there is none or the sentence is not scored."""
        return [sentence.label if sentence.scored else None for sentence in self.splits[split].sentences]

    def ids(self, split: str) -> list[str]:
        """Give the id of each sentence: its own, or its number from 0."""
        sentences = self.splits[split].sentences
        return [str(i) if sentence.id is None else sentence.id for i, sentence in enumerate(sentences)]

    def spans(self, split: str) -> list[tuple[str, list[Span]] | None]:
        """Give the text of each sentence and ``(start, end)`` of each word in it; None where the input was words."""
        return [
            None if sentence.text is None or sentence.spans is None else (sentence.text, sentence.spans)
            for sentence in self.splits[split].sentences
        ]

    def locate(self, split: str, rows: Sequence[int]) -> str | None:
        """Give ``file:line`` of the sentences of some windows (of some sentences, before ``tokenize``)."""
        if not rows:
            return None
        file, owners = self.splits[split], self._rows.get(split)
        sentences = list(dict.fromkeys(owners[row] if owners else row for row in rows))
        lines = [str(file.sentences[i].line()) for i in sentences[:LOCATED_ROWS]]
        return f"{file.source}:{', '.join(lines)}{', …' if len(sentences) > LOCATED_ROWS else ''}"

    def _encoder(self, tokenizer: PreTrainedTokenizerBase, split: str) -> TaggingEncoder:
        arguments, length = self.arguments, self.max_length or self.schema.max_length
        overlap = arguments.window_overlap
        return TaggingEncoder(
            tokenizer,
            self.schema,
            length,
            overlap=length // 4 if overlap is None else overlap,
            labelled=split != "test",
            all_tokens=arguments.label_all_tokens and split == "train",
        )

    def _table(self, file: SentenceFile) -> datasets.Dataset:
        columns = {
            "sentence": list(range(len(file.sentences))),
            "words": [sentence.words for sentence in file.sentences],
            "tags": [sentence.tags for sentence in file.sentences],
            "label": [sentence.label for sentence in file.sentences],
        }
        return datasets.Dataset.from_dict(columns, features=ROWS)

    def _note(self, notes: list[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]


def note_windows(features: datasets.Dataset, file: SentenceFile, max_length: int, overlap: int) -> list[str]:
    """Say how many sentences became several windows, and which words were cut or have no token of their own."""
    owners = features["sentence"][:]
    windows = Counter(owners)
    longer = [sentence for sentence, count in windows.items() if count > 1]
    notes: list[str] = []
    if longer:
        most = max(windows.values())
        what = f"sentences are longer than {max_length} tokens and were split into windows that overlap by {overlap}"
        what += f", the longest into {most}"
        notes.append(Finding("long_sentences", file.source, len(longer), what, total=len(file.sentences)))
    blank = "words have no token (blank, or invisible characters); the unknown token stands for them"
    for check, column, what in (
        ("cut_words", CUT_COLUMN, f"words are longer than {max_length} tokens; the end of each was cut off"),
        ("words_without_token", REPLACED_COLUMN, blank),
    ):
        counts = features[column][:]
        if any(counts):
            first = file.sentences[next(owner for owner, count in zip(owners, counts, strict=True) if count)]
            what += " (this is the first sentence)"
            notes.append(Finding(check, file.source, sum(counts), what, line=first.line()))
    return notes
