"""Data sets of the Hugging Face Hub as tables of text cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

import datasets

from hf_ext.data.arguments import DataArguments, SourceArguments, split_names
from hf_ext.data.rows import Row, RowReader, Table, to_cell
from hf_ext.errors import UserError, did_you_mean

USUAL_NAMES = {"train": ("train",), "validation": ("validation", "dev", "valid", "val"), "test": ("test",)}


def load_hub_splits(
    arguments: DataArguments, *, cache_dir: str | None = None, token: str | None = None
) -> dict[str, Callable[[], Table]]:
    """Load ``--dataset_name`` and offer its train, validation and test splits as tables, made when called for.

    Class ids become class names, everything else becomes text; the "line" of a row is its number from 1.

    Args:
        arguments: Name, configuration, split names, splits and columns to leave out.
        cache_dir: Where the Hub's files are kept.
        token: Hub token for private data sets.

    Raises:
        UserError: As ``load_hub_rows``.
    """
    removed = split_names(arguments.remove_columns)
    return {
        role: partial(_as_table, rows, source, removed)
        for role, (source, rows) in load_hub_rows(arguments, cache_dir=cache_dir, token=token).items()
    }


def load_hub_rows(
    arguments: SourceArguments, *, cache_dir: str | None = None, token: str | None = None, streaming: bool = False
) -> dict[str, tuple[str, Any]]:
    """Load ``--dataset_name`` and give its train, validation and test splits as they are, each with a name.

    Args:
        arguments: Name, configuration, split names and splits to leave out.
        cache_dir: Where the Hub's files are kept.
        token: Hub token for private data sets.
        streaming: Whether to give ``IterableDataset``, read from the Hub as it is needed, instead of ``Dataset``.

    Raises:
        UserError: If the data set cannot be reached, or a split that was named is not in it.
    """
    name = str(arguments.dataset_name)
    try:
        more = {"streaming": True} if streaming else {}
        loaded = datasets.load_dataset(name, arguments.dataset_config_name, cache_dir=cache_dir, token=token, **more)
    except (OSError, ValueError, RuntimeError) as error:  # a name that is not there, a wrong config, a failing script
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"the data set {name!r} cannot be loaded ({reason})",
            fix="check the name, the configuration and the network",
        ) from None
    if not isinstance(loaded, datasets.DatasetDict | datasets.IterableDatasetDict):
        raise UserError(f"the data set {name!r} has no splits", fix="choose another data set")
    removed = split_names(arguments.remove_splits)
    for split in removed:
        _check_split(split, loaded, "--remove_splits", name)
    present = {split: rows for split, rows in loaded.items() if split not in removed}
    roles = _name_roles(arguments, present, name)
    return {role: (f"{name}[{split}]", present[split]) for role, split in roles.items()}


def _name_roles(arguments: SourceArguments, present: dict[Any, Any], name: str) -> dict[str, str]:
    asked = {
        "train": arguments.train_split_name,
        "validation": arguments.validation_split_name,
        "test": arguments.test_split_name,
    }
    roles = {}
    for role, split in asked.items():
        if split:
            _check_split(split, present, f"--{role}_split_name", name)
        else:
            split = next((usual for usual in USUAL_NAMES[role] if usual in present), None)
        if split:
            roles[role] = split
    return roles


def _check_split(split: str, present: Any, flag: str, name: str) -> None:
    if split not in present:
        raise UserError(
            f"{name!r} has no split {split!r}", fix=f"check {flag} ({did_you_mean(split, map(str, present))})"
        )


def _as_table(rows: datasets.Dataset, source: str, removed: Collection[str]) -> Table:
    names = [name for name in rows.column_names if name not in removed]
    columns = {name: _as_text(rows[name][:], rows.features[name], name, source) for name in names}
    lists = frozenset(name for name, cells in columns.items() if any(isinstance(cell, list) for cell in cells))

    def records() -> Iterator[tuple[int, Row]]:
        for i in range(len(rows)):
            yield i + 1, {name: cells[i] for name, cells in columns.items()}

    return RowReader(source, tuple(names), records, lists).read()


def _as_text(values: list[Any], feature: Any, name: str, source: str) -> list[Any]:
    """Write one column as text; a class id of -1 is the Hub's way to say unlabelled."""
    inner = getattr(feature, "feature", None)
    if isinstance(feature, datasets.ClassLabel):
        return ["" if v is None or v < 0 else feature.int2str(v) for v in values]
    if isinstance(inner, datasets.ClassLabel):
        return [[""] if v is None else [inner.int2str(i) for i in v] for v in values]
    return [to_cell(value, name, f"{source}:{i}") for i, value in enumerate(values, 1)]
