"""Everything that a classification run reads: rows, schema, features."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets
from transformers import PreTrainedTokenizerBase

from hf_ext.data.arguments import DataArguments, split_names
from hf_ext.data.features import (
    TOKENS_COLUMN,
    FeatureEncoder,
    join_texts,
    limit_length,
    make_features,
    note_truncation,
)
from hf_ext.data.labels import LabelReader, is_known
from hf_ext.data.preparation import prepare, prepare_training_rows
from hf_ext.data.prepared import Prepared, RowSplit
from hf_ext.data.rows import LINE_COLUMN
from hf_ext.data.streaming import shuffle_stream
from hf_ext.models.schema import TaskSchema

__all__ = ["ClassificationData", "RowSplit"]

Target = int | float | list[float] | None

LOCATED_ROWS = 5


@dataclass
class ClassificationData:
    """The splits of a classification or regression task, checked and described.

    Args:
        schema: Labels, text and table columns; fitted on the training split, or the saved model's own.
        splits: The rows of each split that the run needs.
        notes: What a reader of the log should know, one sentence each; ``tokenize`` adds some.
        split_indices: What ``split_indices.json`` should hold when one file was split, else None.
        arguments: The flags that it was made from.
        max_length: Longest sequence in tokens that ``tokenize`` has allowed; None before.
    """

    schema: TaskSchema
    splits: dict[str, RowSplit]
    notes: list[str] = field(default_factory=list)
    split_indices: dict[str, Any] | None = None
    arguments: DataArguments = field(default_factory=DataArguments)
    max_length: int | None = None

    @classmethod
    def from_arguments(
        cls,
        arguments: DataArguments,
        *,
        saved: TaskSchema | None,
        needs: Collection[str],
        cache_dir: str | None = None,
        token: str | None = None,
    ) -> ClassificationData:
        """Read, split and check the rows.

        Args:
            arguments: Where the rows are and what their columns mean.
            saved: The schema of the model that is loaded, or None. Without training it decides labels and columns;
                with training only the order of the labels, if they are the same.
            needs: Among ``train``, ``validation``, ``test``: what the run trains on, evaluates, predicts.
            cache_dir: Where files of the Hub are kept.
            token: Hub token for private data sets.

        Raises:
            UserError: If a split is missing or anything in the rows cannot be used, with file and line.
        """
        made: Prepared = prepare(arguments, saved=saved, needs=needs, cache_dir=cache_dir, token=token)
        return cls(made.schema, made.splits, made.notes, made.split_indices, arguments)

    @classmethod
    def of_training_rows(
        cls, arguments: DataArguments, *, saved: TaskSchema, cache_dir: str | None = None, token: str | None = None
    ) -> ClassificationData:
        """Read all rows of the training file as test rows, in input order: what models of folds did not see is there.

        Args:
            arguments: Where the rows are.
            saved: The schema of a model that was trained on some of them.
            cache_dir: Where files of the Hub are kept.
            token: Hub token for private data sets.

        Raises:
            UserError: If anything in the rows cannot be used, with file and line.
        """
        made = prepare_training_rows(arguments, saved=saved, cache_dir=cache_dir, token=token)
        return cls(made.schema, made.splits, made.notes, made.split_indices, arguments)

    def training_texts(self) -> Iterator[str]:
        """Give every text of the training split (both of a pair), e.g. to build a vocabulary from."""
        rows = self.splits["train"].rows
        for batch in rows.iter(batch_size=1000):
            texts, pairs = join_texts(batch, self.schema)
            yield from texts
            yield from pairs or ()

    def tokenize(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        cache_dir: Path,
        overwrite: bool = False,
        num_workers: int | None = None,
        positions: int | None = None,
    ) -> dict[str, datasets.Dataset | datasets.IterableDataset]:
        """Turn each split into features.

        Call it on the main process first; the others then load what it has written. Test features never hold
        labels (score with ``labels("test")``); those of the other splits always do.

        Args:
            tokenizer: Any tokenizer of transformers.
            cache_dir: Where features are kept; the same rows and the same settings are not tokenised twice.
            overwrite: Make them again nevertheless.
            num_workers: Processes that tokenise.
            positions: The longest sequence that the model takes; None when it has no limit.

        Returns:
            By split: ``input_ids``, ``attention_mask``, ``token_type_ids`` where the tokenizer gives them,
            ``category_ids`` (C), ``numeric_values`` (N, NaN where missing), ``labels`` (int, float, or L floats).
        """
        max_length, notes = limit_length(self.schema.text.max_length, tokenizer, positions)
        self.max_length = max_length
        self._note(notes)
        features = {}
        for name, split in self.splits.items():
            encoder = FeatureEncoder(tokenizer, self.schema, max_length, split.reader if name != "test" else None)
            if isinstance(split.rows, datasets.IterableDataset):
                features[name] = self._encode_stream(split.rows, replace(encoder, counts_tokens=False))
                continue
            made = make_features(
                split.rows,
                encoder,
                cache_dir=cache_dir,
                overwrite=overwrite,
                num_workers=num_workers,
                description=f"Tokenising {name}",
            )
            self._note(note_truncation(made[TOKENS_COLUMN][:], max_length, split.source))
            features[name] = made.remove_columns(TOKENS_COLUMN)
        return features

    def texts(self, split: str) -> list[str]:
        """Give the text of each row as one string; the second text of a pair follows after a blank."""
        texts, pairs = join_texts(self._columns(split), self.schema)
        return [f"{text} {pair}" for text, pair in zip(texts, pairs, strict=True)] if pairs else texts

    def labels(self, split: str) -> list[Target]:
        """Give the encoded label of each row: an index, a float, or L 0/1 floats.

        None stands for a row that cannot be scored: unlabelled, or with a label that the model does not know
        (``--unknown_labels ignore``). That happens in the test split only.
        """
        reader, column = self.splits[split].reader, str(self.schema.label_column)
        cells = self._columns(split)
        if reader is None or column not in cells:
            return [None] * len(cells[LINE_COLUMN])
        return [self._encode(reader, cell) for cell in cells[column]]

    def ids(self, split: str) -> list[str]:
        """Give the id of each row: its cell in the id column, or its number from 0."""
        cells = self._columns(split)
        if self.schema.id_column in cells:
            return list(cells[str(self.schema.id_column)])
        return [str(i) for i in range(len(cells[LINE_COLUMN]))]

    def kept_columns(self, split: str) -> dict[str, list[str]]:
        """Give the input columns that ``--keep_columns`` wants beside the predictions (lists joined by commas)."""
        cells = self._columns(split)
        asked = split_names(self.arguments.keep_columns)
        names = [name for name in cells if name != LINE_COLUMN] if asked == ["all"] else asked
        return {name: [",".join(c) if isinstance(c, list) else c for c in cells[name]] for name in names}

    def locate(self, split: str, rows: Sequence[int]) -> str | None:
        """Give ``file:line`` of the first of some rows, and the lines of a few more; None if they are streamed."""
        cells = self.splits[split].rows
        if not rows or isinstance(cells, datasets.IterableDataset):
            return None
        lines = [str(cells[row][LINE_COLUMN]) for row in rows[:LOCATED_ROWS]]
        return f"{self.splits[split].source}:{', '.join(lines)}{', …' if len(rows) > LOCATED_ROWS else ''}"

    def _columns(self, split: str) -> Mapping[str, Any]:
        rows = self.splits[split].rows
        if isinstance(rows, datasets.IterableDataset):
            raise ValueError(f"the {split} rows are streamed and cannot be listed")
        return rows[:]

    def _encode(self, reader: LabelReader, cell: Any) -> Target:
        label = reader.read(cell)
        if label is None or not is_known(label, self.schema.labels):
            return None
        return self.schema.labels.encode(label)

    def _encode_stream(self, rows: datasets.IterableDataset, encoder: FeatureEncoder) -> datasets.IterableDataset:
        arguments = self.arguments
        # without types: datasets would look at every token of every row to make sure of them
        encoded = rows.map(encoder, batched=True, remove_columns=list(next(iter(rows))))
        return shuffle_stream(encoded, seed=arguments.shuffle_seed, buffer_size=arguments.shuffle_buffer_size)

    def _note(self, notes: list[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]
