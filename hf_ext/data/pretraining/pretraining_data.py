"""Everything that a pretraining run reads: documents, the split, packed rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from transformers import PreTrainedTokenizerBase

from hf_ext.data.features import NO_LENGTH_LIMIT, limit_length, make_features
from hf_ext.data.pretraining.arguments import PretrainingDataArguments
from hf_ext.data.pretraining.document_splits import DocumentSplit, StreamedSplit
from hf_ext.data.pretraining.packed_rows import RowLayout, make_rows
from hf_ext.data.pretraining.preparation import Prepared, prepare
from hf_ext.data.pretraining.rows import FIRST_DOCUMENT
from hf_ext.data.pretraining.streaming import stream_rows
from hf_ext.data.pretraining.tokens import TokenEncoder

LONGEST_ROW = 1024  # tokens, where no length is asked for; that of the official script
DOCUMENTS_ENCODED = 200  # at a time
LOCATED_ROWS = 5

__all__ = ["DocumentSplit", "PretrainingData"]


@dataclass
class PretrainingData:
    """The text of a pretraining run.

    Args:
        splits: The documents of each split that the run needs.
        notes: What a reader of the log should know, one sentence each; ``tokenize`` adds some.
        split_indices: What ``split_indices.json`` should hold when documents were held out, else None.
        arguments: The flags that it was made from.
        max_length: Longest row in tokens that ``tokenize`` has made; None before.
    """

    splits: dict[str, DocumentSplit | StreamedSplit]
    notes: list[str] = field(default_factory=list)
    split_indices: dict[str, Any] | None = None
    arguments: PretrainingDataArguments = field(default_factory=PretrainingDataArguments)
    max_length: int | None = None
    _first_documents: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def from_arguments(
        cls,
        arguments: PretrainingDataArguments,
        *,
        needs: Collection[str],
        cache_dir: str | None = None,
        token: str | None = None,
    ) -> PretrainingData:
        """Read the documents into a table on disk, leave out repeats if asked, hold some out for validation.

        Without a validation text documents are held out even if the run does not evaluate, so that a later run can.

        Args:
            arguments: Where the text is.
            needs: Among ``train`` and ``validation``: what the run trains on, what it evaluates.
            cache_dir: Where documents, and files of the Hub, are kept.
            token: Hub token for private data sets.

        Raises:
            UserError: If a split is missing or a file cannot be used, with file and line.
        """
        made: Prepared = prepare(arguments, needs=needs, cache_dir=cache_dir, token=token)
        return cls(made.splits, made.notes, made.split_indices, arguments)

    def training_texts(self) -> Iterator[str]:
        """Give every training document, e.g. to build a vocabulary from."""
        return self.splits["train"].texts()

    def tokenize(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        cache_dir: Path,
        overwrite: bool = False,
        num_workers: int | None = None,
        max_length: int | None = None,
        positions: int | None = None,
    ) -> dict[str, datasets.Dataset | datasets.IterableDataset]:
        """Turn the documents of each split into packed rows of tokens.

        Call it on the main process first; the others then load what it has written. What decides tokens and rows names
        their files in the cache, so that other flags or another tokenizer lead to other files.

        Args:
            tokenizer: A fast tokenizer of transformers.
            cache_dir: Where tokens and rows are kept: some 2.5 times the size of the text.
            overwrite: Make them again nevertheless.
            num_workers: Processes that tokenise.
            max_length: Longest row in tokens; None takes ``--max_seq_length``.
            positions: The longest sequence that the model takes; None when it has no limit.

        Returns:
            By split: ``input_ids`` with special tokens in place, ``word_starts`` (whether a word begins at a token;
            true at special ones), ``document_lengths`` (tokens of each document, or part of one, in the row) and
            ``row`` (its number from 0; -1, -2 and so on for validation rows, whose masks never change). With
            ``--sentence_pairs`` also ``token_type_ids`` and ``next_sentence_label`` (1: not the next, or swapped).

        Raises:
            UserError: If the tokenizer is slow, rows are too short to hold a token, or the text has no tokens.
        """
        arguments = self.arguments
        self.max_length = self._limit_length(tokenizer, max_length or arguments.max_seq_length, positions)
        layout = RowLayout.of_tokenizer(
            tokenizer,
            max_length=self.max_length,
            packing=arguments.packing,
            sentence_pairs=arguments.sentence_pairs,
            seed=arguments.split_seed,
        )
        made: dict[str, datasets.Dataset | datasets.IterableDataset] = {}
        for name, split in self.splits.items():
            limit = arguments.max_train_samples if name == "train" else arguments.max_eval_samples
            if isinstance(split, StreamedSplit):
                encoder = TokenEncoder(tokenizer, "", split.segmenter)
                stream = stream_rows(split, encoder, layout, buffer_size=arguments.shuffle_buffer_size)
                made[name] = stream.take(limit) if limit is not None else stream
                continue
            encoder = TokenEncoder(tokenizer, split.corpus.key, split.segmenter, arguments.has_sentence_pairs)
            tokens = make_features(
                split.corpus.documents.select_columns("text"),
                encoder,
                cache_dir=cache_dir,
                overwrite=overwrite,
                num_workers=num_workers,
                description="Tokenising",
                batch_size=DOCUMENTS_ENCODED,
            )
            rows, notes = make_rows(split, tokens, layout, cache_dir=cache_dir, overwrite=overwrite)
            self._note(notes)
            if limit is not None:
                rows = rows.select(range(min(limit, len(rows))))
            self._first_documents[name] = np.asarray(rows[FIRST_DOCUMENT][:])
            made[name] = rows.remove_columns(FIRST_DOCUMENT)
        return made

    def locate(self, split: str, rows: Sequence[int]) -> str | None:
        """Give ``file:line`` where the documents begin that some rows begin with; None if they are streamed."""
        documents = self.splits[split]
        if not rows or split not in self._first_documents or isinstance(documents, StreamedSplit):
            return None
        first, corpus = self._first_documents[split], documents.corpus
        places = [corpus.where(int(first[row])) for row in rows[:LOCATED_ROWS]]
        return ", ".join(dict.fromkeys(places)) + (", …" if len(rows) > LOCATED_ROWS else "")

    def _limit_length(self, tokenizer: PreTrainedTokenizerBase, asked: int | None, positions: int | None) -> int:
        wanted = asked or min(LONGEST_ROW, limit_length(NO_LENGTH_LIMIT, tokenizer, positions)[0])
        length, notes = limit_length(wanted, tokenizer, positions)
        self._note(notes)
        return length

    def _note(self, notes: Sequence[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]
