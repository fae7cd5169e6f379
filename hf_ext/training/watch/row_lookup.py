"""Which rows of a data set stand in a collated batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.trainer_utils import has_length

from hf_ext.models.schema import IGNORED_LABEL
from hf_ext.training.watch.batch_rows import FLAT_INDICES, count_rows

TOKENS, MASK = "input_ids", "attention_mask"
ID_COLUMNS = ("id", "idx", "guid", "_line")


def find_rows(batch: Mapping[str, Any], dataset: Any, *, pad_token_id: int | None = None) -> list[list[int]]:
    """Look the rows of a batch up by what they hold, whatever sampler and workers brought them there.

    Token ids are compared without padding, then every other field that the data set and the batch both have in the
    same shape (labels, numbers). A batch without token ids is looked up by its first shared field. Tokens that a masked
    language model is to predict are compared as they were before they were hidden.

    Args:
        batch: What the collator made.
        dataset: Where it came from.
        pad_token_id: What padding is written with, for batches without an attention mask.

    Returns:
        For each row of the batch the numbers, from 0, of all rows of the data set that are equal to it: none when the
        collator changed them or the data are streamed.
    """
    batch = _with_hidden_tokens(batch)
    found: list[list[int]] = [[] for _ in range(count_rows(batch))]
    if not found or not _is_filled(dataset):
        return found
    fields = _shared_fields(batch, dataset[0])
    if not fields:
        return found
    by = TOKENS if TOKENS in fields else fields[0]
    positions: dict[tuple, list[int]] = {}
    for i, row in enumerate(_rows_of(batch, len(found))):
        positions.setdefault(_key(row, by, batch[by].dtype, pad_token_id), []).append(i)
    for number, cells in enumerate(_read(dataset, [*fields, MASK])):
        for i in positions.get(_key(cells, by, batch[by].dtype, pad_token_id), ()):
            if all(_may_equal(cells[name], batch[name][i]) for name in fields if name != by):
                found[i].append(number)
    return found


def _with_hidden_tokens(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put the tokens back that a masked language model is to predict; they stand in the labels."""
    if FLAT_INDICES not in batch:
        return batch
    labels = batch["labels"]
    return {**batch, TOKENS: torch.where(labels == IGNORED_LABEL, batch[TOKENS], labels)}


def name_row(dataset: Any, number: int) -> str:
    """Give the number of a row, with what its id column says where the data set has one."""
    row = dataset[number]
    column = next((name for name in ID_COLUMNS if isinstance(row, Mapping) and name in row), None)
    return str(number) if column is None else f"{number} ({column} {row[column]!r})"


def _is_filled(dataset: Any) -> bool:
    return has_length(dataset) and len(dataset) > 0


def _shared_fields(batch: Mapping[str, Any], row: Any) -> list[str]:
    if not isinstance(row, Mapping):
        return []
    rows = count_rows(batch)
    names = [n for n, v in batch.items() if isinstance(v, Tensor) and v.dim() > 0 and v.shape[0] == rows]
    return [name for name in names if row.get(name) is not None and name != MASK]


def _read(dataset: Any, names: list[str]) -> Iterable[Mapping[str, Any]]:
    if hasattr(dataset, "select_columns") and hasattr(dataset, "column_names"):  # a datasets.Dataset
        dataset = dataset.select_columns([name for name in names if name in dataset.column_names])
    return (dataset[i] for i in range(len(dataset)))


def _rows_of(batch: Mapping[str, Any], rows: int) -> Iterable[Mapping[str, Any]]:
    names = [name for name, value in batch.items() if isinstance(value, Tensor) and value.dim() > 0]
    return ({name: batch[name][i] for name in names if batch[name].shape[0] == rows} for i in range(rows))


def _key(row: Mapping[str, Any], by: str, dtype: torch.dtype, pad_token_id: int | None) -> tuple:
    values = torch.as_tensor(row[by], dtype=dtype)
    if by != TOKENS:
        return tuple(values.flatten().tolist())
    if row.get(MASK) is not None:
        mask = torch.as_tensor(row[MASK], device=values.device)
        if mask.shape == values.shape:  # another shape says who sees whom
            values = values[mask.bool()]
    tokens = values.tolist()
    while tokens and tokens[-1] == pad_token_id:
        tokens.pop()
    start = next((i for i, token in enumerate(tokens) if token != pad_token_id), len(tokens))
    return tuple(tokens[start:])


def _may_equal(value: Any, collated: Tensor) -> bool:
    """Compare a field; one that padding brought into another shape says nothing."""
    given = torch.as_tensor(value, dtype=collated.dtype)
    return given.shape != collated.shape or torch.allclose(given.double(), collated.cpu().double(), equal_nan=True)
