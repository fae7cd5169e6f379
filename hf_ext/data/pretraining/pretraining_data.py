"""Everything that a pretraining run reads: documents, the split, packed rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from transformers import PreTrainedTokenizerBase

from hf_ext.data.features import NO_LENGTH_LIMIT, limit_length, make_features
from hf_ext.data.pretraining.arguments import PretrainingDataArguments
from hf_ext.data.pretraining.arrow_files import load_table, write_table
from hf_ext.data.pretraining.mixing import mix_rows
from hf_ext.data.pretraining.packing import PACKINGS, RowPlan
from hf_ext.data.pretraining.preparation import DocumentSplit, Prepared, prepare
from hf_ext.data.pretraining.rows import FIRST_DOCUMENT, ROWS, TokenTable, build_rows
from hf_ext.data.pretraining.tokens import TokenEncoder
from hf_ext.data.special_tokens import find_frame
from hf_ext.errors import UserError

FORMAT_VERSION = 1  # raise it when the rows of the same tokens change
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

    splits: dict[str, DocumentSplit]
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
            cache_dir: Where tokens and rows are kept (for 1 GB of text some 2.5 GB).
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
        self.max_length = self._limit_length(tokenizer, max_length or self.arguments.max_seq_length, positions)
        made: dict[str, datasets.Dataset | datasets.IterableDataset] = {}
        for name, split in self.splits.items():
            encoder = TokenEncoder(tokenizer, split.corpus.key, split.segmenter)
            tokens = make_features(
                split.corpus.documents.select_columns("text"),
                encoder,
                cache_dir=cache_dir,
                overwrite=overwrite,
                num_workers=num_workers,
                description="Tokenising",
                batch_size=DOCUMENTS_ENCODED,
            )
            rows = self._pack(split, tokens, tokenizer, cache_dir=cache_dir, overwrite=overwrite)
            limit = {"train": self.arguments.max_train_samples, "validation": self.arguments.max_eval_samples}[name]
            if limit is not None:
                rows = rows.select(range(min(limit, len(rows))))
            self._first_documents[name] = np.asarray(rows[FIRST_DOCUMENT][:])
            made[name] = rows.remove_columns(FIRST_DOCUMENT)
        return made

    def locate(self, split: str, rows: Sequence[int]) -> str | None:
        """Give ``file:line`` where the documents begin that some rows begin with; None if they are streamed."""
        if not rows or split not in self._first_documents:
            return None
        first, corpus = self._first_documents[split], self.splits[split].corpus
        places = [corpus.where(int(first[row])) for row in rows[:LOCATED_ROWS]]
        return ", ".join(dict.fromkeys(places)) + (", …" if len(rows) > LOCATED_ROWS else "")

    def _limit_length(self, tokenizer: PreTrainedTokenizerBase, asked: int | None, positions: int | None) -> int:
        wanted = asked or min(LONGEST_ROW, limit_length(NO_LENGTH_LIMIT, tokenizer, positions)[0])
        length, notes = limit_length(wanted, tokenizer, positions)
        self._note(notes)
        special = len(find_frame(tokenizer))
        if length <= special:
            raise UserError(
                f"--max_seq_length {length} leaves no room beside {special} special tokens", fix="choose a larger one"
            )
        return length

    def _pack(
        self,
        split: DocumentSplit,
        tokens: datasets.Dataset,
        tokenizer: PreTrainedTokenizerBase,
        *,
        cache_dir: Path,
        overwrite: bool,
    ) -> datasets.Dataset:
        frame, max_length = find_frame(tokenizer), self.max_length or LONGEST_ROW
        packing, seed = self.arguments.packing, self.arguments.split_seed
        state = [FORMAT_VERSION, tokens._fingerprint, split.name, packing, max_length, seed, split.weights, str(frame)]
        digest = hashlib.sha256(json.dumps(state).encode())
        for numbers in split.groups:
            digest.update(numbers.tobytes() + b"|")
        key = digest.hexdigest()[:32]
        path = cache_dir / f"rows-{key}.arrow"
        loaded = None if overwrite else load_table(path, key)
        if loaded is None:
            table = TokenTable(tokens)
            lengths = table.lengths()
            plans = [PACKINGS[packing](lengths[group], max_length, len(frame)) for group in split.groups]
            plan = _join(plans, split.groups)
            if not len(plan):
                raise UserError("the tokenizer gives no token for this text", where=split.source, fix="check both")
            order = mix_rows([len(plan) for plan in plans], split.weights or [1.0] * len(plans), seed)
            notes = [_describe(split, plan, order, max_length, len(frame))]
            held_out = split.name == "validation"
            write_table(path, ROWS, build_rows(table, plan, order, frame, held_out=held_out), notes)
            loaded = load_table(path, key)
        assert loaded is not None
        self._note(loaded[1])
        return loaded[0]

    def _note(self, notes: Sequence[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]


def _join(plans: Sequence[RowPlan], groups: Sequence[np.ndarray]) -> RowPlan:
    """Put the plans of several groups of documents behind one another, documents numbered as in the corpus."""
    parts = np.cumsum([0, *(len(plan.document) for plan in plans)])
    return RowPlan(
        np.concatenate([group[plan.document] for plan, group in zip(plans, groups, strict=True)]),
        np.concatenate([plan.start for plan in plans]),
        np.concatenate([plan.stop for plan in plans]),
        np.concatenate([plan.ends + first for plan, first in zip(plans, parts, strict=False)]),
    )


def _describe(split: DocumentSplit, plan: RowPlan, order: np.ndarray, max_length: int, overhead: int) -> str:
    documents = sum(len(group) for group in split.groups)
    tokens = int((plan.stop - plan.start).sum())
    full = (tokens + overhead * len(plan.document)) / (len(plan) * max_length)
    repeated = f", {len(order)} with those that repeat" if len(order) > len(plan) else ""
    return (
        f"{split.source}: {documents:,} {split.name} documents, {tokens:,} tokens, in {len(plan):,} rows of at most "
        f"{max_length}, {full:.1%} full{repeated}"
    )
