"""Rows as numbers: tokens, categories, numeric values and labels, made once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import datasets
from transformers import PreTrainedTokenizerBase

from hf_ext.data.checks.findings import Finding
from hf_ext.data.labels import LabelReader
from hf_ext.errors import UserError
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, TaskSchema

FORMAT_VERSION = 1  # raise it when the features of the same rows change
TOKENS_COLUMN = "_tokens"  # the length before cutting, kept in the cache so that its note can be repeated
NO_LENGTH_LIMIT = 10**9  # transformers writes 1e30 where a tokenizer knows no limit


class RowEncoder(Protocol):
    """What ``make_features`` needs to know of an encoder."""

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Encode columns of cells as columns of features; the number of rows may change."""

    def features(self, first_row: Mapping[str, Any]) -> datasets.Features:
        """Give the types of the result."""

    def cache_key(self, rows: datasets.Dataset) -> str:
        """Give a sha256 over everything that the features depend on."""


@dataclass
class FeatureEncoder:
    """Turn a batch of rows into features; what ``datasets.map`` calls.

    Args:
        tokenizer: Any tokenizer of transformers, fast or not.
        schema: Columns, categories and labels.
        max_length: Longest sequence in tokens, special tokens included.
        label_reader: How label cells are read; None leaves the labels out.
        counts_tokens: Whether the length before cutting is found out, for a note.
    """

    tokenizer: PreTrainedTokenizerBase
    schema: TaskSchema
    max_length: int
    label_reader: LabelReader | None = None
    counts_tokens: bool = True

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Encode columns of cells.

        Returns:
            The tokenizer's inputs, ``_tokens`` (length before cutting) if asked for, and where the schema has them
            ``category_ids`` (C ids a row), ``numeric_values`` (N numbers a row, NaN where missing) and ``labels``.
        """
        features = self._tokenise(*join_texts(batch, self.schema))
        columns = self.schema.columns
        if columns.categorical:
            features["category_ids"] = columns.encode_categories(batch)
        if columns.numeric:
            features["numeric_values"] = columns.encode_numbers(batch)
        if self.label_reader is not None:
            read = (self.label_reader.read(cell) for cell in batch[str(self.schema.label_column)])
            features["labels"] = [self.schema.labels.encode(label) for label in read if label is not None]
        return features

    def features(self, first_row: Mapping[str, Any]) -> datasets.Features:
        """Give the types of the result, which depend on what the tokenizer returns for a row."""
        number = datasets.Value
        types: dict[str, Any] = {
            "input_ids": datasets.List(number("int32")),
            "category_ids": datasets.List(number("int64")),
            "numeric_values": datasets.List(number("float32")),
            TOKENS_COLUMN: number("int32"),
            "labels": {MULTI_LABEL: datasets.List(number("float32")), REGRESSION: number("float32")}.get(
                self.schema.labels.problem_type, number("int64")
            ),
        }
        made = self({name: [cell] for name, cell in first_row.items()})
        return datasets.Features({name: types.get(name, datasets.List(number("int8"))) for name in made})

    def cache_key(self, rows: datasets.Dataset) -> str:
        """Give a sha256 over everything that the features depend on."""
        digest = hashlib.sha256()
        state = {
            "format": FORMAT_VERSION,
            "schema": asdict(self.schema),
            "max_length": self.max_length,
            "labels": asdict(self.label_reader) if self.label_reader else None,
        }
        digest.update(json.dumps(state, sort_keys=True).encode())
        digest.update(describe_tokenizer(self.tokenizer))
        for name in self._columns_read():
            digest.update(json.dumps([name, rows[name][:]]).encode())
        return digest.hexdigest()

    def _columns_read(self) -> list[str]:
        text, table = self.schema.text, self.schema.columns
        names = [*text.columns, *text.columns_as_text]
        names += [c.name for c in table.categorical] + [c.name for c in table.numeric]
        if text.pair_column:
            names.append(text.pair_column)
        if self.label_reader is not None:
            names.append(str(self.schema.label_column))
        return names

    def _tokenise(self, texts: list[str], pairs: list[str] | None) -> dict[str, list[Any]]:
        encoded = self.tokenizer(texts, pairs, truncation=True, max_length=self.max_length, verbose=False)
        features = {name: encoded[name] for name in self.tokenizer.model_input_names if name in encoded}
        if not self.counts_tokens:
            return features
        lengths = [len(ids) for ids in features["input_ids"]]
        for i, length in enumerate(lengths):
            if length >= self.max_length:  # only these can have been cut
                whole = self.tokenizer(texts[i], pairs[i] if pairs else None, truncation=False, verbose=False)
                lengths[i] = len(whole["input_ids"])
        return {**features, TOKENS_COLUMN: lengths}


def join_texts(batch: Mapping[str, Sequence[Any]], schema: TaskSchema) -> tuple[list[str], list[str] | None]:
    """Give the first texts of a batch and the second ones, or None where there are no pairs."""
    text = schema.text
    names = (*text.columns, *text.columns_as_text)
    rows = zip(*(batch[name] for name in names), strict=True)
    texts = [text.join(dict(zip(names, cells, strict=True))) for cells in rows]
    return texts, list(batch[text.pair_column]) if text.pair_column else None


def make_features(
    rows: datasets.Dataset,
    encoder: RowEncoder,
    *,
    cache_dir: Path,
    overwrite: bool = False,
    num_workers: int | None = None,
    description: str | None = None,
    batch_size: int = 1000,
) -> datasets.Dataset:
    """Encode all rows, or load what an earlier call has made of the same rows in the same way.

    The cache file is named by ``cache_key`` of the encoder, so that whatever changes leads to another file.

    Raises:
        UserError: If the cache folder cannot be made.
    """
    key = encoder.cache_key(rows)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the cache of tokenised rows cannot be kept here ({error.strerror})"
        raise UserError(what, where=str(cache_dir), fix="name another --cache_dir") from None
    return rows.map(
        encoder,
        batched=True,
        batch_size=batch_size,
        remove_columns=rows.column_names,
        features=encoder.features(rows[0]),
        cache_file_name=str(cache_dir / f"features-{key[:32]}.arrow"),
        load_from_cache_file=not overwrite,
        new_fingerprint=key[:32],
        num_proc=num_workers if num_workers and num_workers > 1 else None,
        desc=description,
    )


def describe_tokenizer(tokenizer: PreTrainedTokenizerBase) -> bytes:
    """Give everything that decides what a tokenizer does, as bytes."""
    state = {
        "class": type(tokenizer).__name__,
        "sides": [tokenizer.padding_side, tokenizer.truncation_side],
        "inputs": tokenizer.model_input_names,
    }
    described = json.dumps(state).encode()
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        content = json.loads(backend.to_str())
        content["truncation"] = content["padding"] = None  # left over from the last call
        return described + json.dumps(content, sort_keys=True).encode()
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(tokenizer.save_pretrained(folder))
        return described + b"".join(Path(file).read_bytes() for file in files if Path(file).is_file())


def limit_length(
    wanted: int, tokenizer: PreTrainedTokenizerBase, positions: int | None = None
) -> tuple[int, list[str]]:
    """Give the longest sequence that user, tokenizer and model allow, and a note when it was cut down."""
    limit = int(min(tokenizer.model_max_length, positions or NO_LENGTH_LIMIT, NO_LENGTH_LIMIT))
    if wanted <= limit:
        return wanted, []
    return limit, [f"--max_seq_length {wanted} is more than the model takes; {limit} is used"]


def note_truncation(tokens: Sequence[int], max_length: int, source: str) -> list[str]:
    """Count the rows that were cut, with the longest length."""
    cut = sum(n > max_length for n in tokens)
    if not cut:
        return []
    what = f"texts cut to {max_length} tokens; the longest has {max(tokens)}"
    return [Finding("cut_texts", source, cut, what, total=len(tokens))]
