"""Which column is the text, the label, the id: from flags, a column file, a saved model, or a guess."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hf_ext.data.arguments import DataArguments, split_names
from hf_ext.data.encodings import TextFile
from hf_ext.errors import UserError, did_you_mean
from hf_ext.models.schema import TaskSchema, TextSchema

PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("text_a", "text_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("s1", "s2"),
    ("question", "passage"),
    ("query", "title"),
)
TEXT_NAMES = ("sentence", "text", "content", "review", "review_text", "comment", "tweet", "utterance", "title", "query")
LABEL_NAMES = ("label", "labels", "category", "class", "target", "intent", "sentiment", "score", "rating", "topic", "y")
ID_NAMES = ("id", "idx", "index", "guid", "row_id")


@dataclass(frozen=True)
class Columns:
    """The part that each column of the table plays.

    Args:
        text: Text columns, joined in this order.
        pair: The second text of a pair.
        label: The label column; None when there are no labels.
        id: The column that names a row.
        categorical: Columns of categories beside the text.
        numeric: Columns of numbers beside the text.
        delimiter: Put between joined text columns.
        label_list: Names of the labels, when label cells may be indices into it.
    """

    text: tuple[str, ...] = ()
    pair: str | None = None
    label: str | None = None
    id: str | None = None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    delimiter: str = " "
    label_list: tuple[str, ...] = ()

    @property
    def table(self) -> tuple[str, ...]:
        """The columns beside the text."""
        return self.categorical + self.numeric

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that a model reads; a row without one of them cannot be predicted."""
        return tuple(dict.fromkeys((*self.text, *([self.pair] if self.pair else []), *self.table)))

    def text_schema(self, arguments: DataArguments) -> TextSchema:
        """Give the text part of the schema for a new model."""
        return TextSchema(
            columns=self.text,
            pair_column=self.pair,
            delimiter=self.delimiter,
            columns_as_text=self.table if arguments.columns_as_text else (),
            max_length=arguments.max_seq_length,
        )


@dataclass
class ResolvedColumns:
    """The columns and what should be said about how they were found."""

    columns: Columns
    notes: list[str] = field(default_factory=list)


def resolve_columns(
    arguments: DataArguments, present: Sequence[str], *, source: str, saved: TaskSchema | None = None
) -> ResolvedColumns:
    """Decide the part of each column: flags first, then the column file, the saved schema, a guess.

    Args:
        arguments: The flags.
        present: The columns of the file.
        source: That file, for messages.
        saved: The schema of a saved model that is only evaluated or predicts; None when training.

    Raises:
        UserError: If a column that was named is absent (listing those present), or no text column can be guessed.
    """
    columns = _from_flags(arguments)
    if saved is not None:
        columns = _from_saved(columns, saved, present)
    named = [name for name in (*columns.inputs, columns.id) if name]
    check_present(named, present, source)
    if columns.label is not None and saved is None:
        check_present([columns.label], present, source)
    _check_parts(columns, source)
    return _guess(columns, present, source)


def check_present(names: Sequence[str], present: Collection[str], source: str) -> None:
    """Refuse a file that lacks one of the named columns.

    Raises:
        UserError: Listing the columns that the file has.
    """
    for name in names:
        if name not in present:
            listed = ", ".join(present)
            raise UserError(f"no column {name!r} among: {listed}", where=source, fix=did_you_mean(name, present))


def note_ignored_flags(arguments: DataArguments, saved: TaskSchema) -> list[str]:
    """Say which flags differ from what a saved model was trained with, which holds when it is not trained."""
    table = saved.columns
    ours = {
        "categorical_columns": [c.name for c in table.categorical],
        "numeric_columns": [c.name for c in table.numeric],
    }
    written = list(saved.text.columns_as_text)
    ignored = [
        flag
        for flag, names in ours.items()
        if (asked := split_names(getattr(arguments, flag))) and asked != names and not set(asked) <= set(written)
    ]
    if saved.text.columns and arguments.max_seq_length not in (DataArguments.max_seq_length, saved.text.max_length):
        ignored.append("max_seq_length")
    return [f"--{flag} is ignored: what the saved model was trained with holds" for flag in ignored]


def guess_label(present: Sequence[str]) -> str | None:
    """Give the column whose name usually means the label, or None."""
    by_lower = {name.lower(): name for name in reversed(present)}
    return next((by_lower[name] for name in LABEL_NAMES if name in by_lower), None)


def read_label_file(path: Path) -> tuple[str, ...]:
    """Read label names, one a line; line ``i`` (from 0) is the name of index ``i``.

    Raises:
        UserError: If the file is missing or a name occurs twice.
    """
    if not path.is_file():
        raise UserError("no such file", where=str(path), fix="check --label_file")
    names: list[str] = []
    for number, line in enumerate(TextFile(path), 1):
        name = line.strip()
        if name in names:
            raise UserError(f"the label {name!r} occurs twice", where=f"{path}:{number}", fix="remove one of them")
        if name:
            names.append(name)
    return tuple(names)


def _from_flags(arguments: DataArguments) -> Columns:
    columns = _read_column_file(Path(arguments.column_file)) if arguments.column_file else Columns()
    flags: dict[str, Any] = {
        "text": tuple(split_names(arguments.text_column_names)),
        "pair": arguments.text_pair_column_name,
        "label": arguments.label_column_name,
        "id": arguments.id_column_name,
        "categorical": tuple(split_names(arguments.categorical_columns)),
        "numeric": tuple(split_names(arguments.numeric_columns)),
        "delimiter": arguments.text_column_delimiter if arguments.text_column_delimiter != " " else None,
        "label_list": read_label_file(Path(arguments.label_file)) if arguments.label_file else (),
    }
    return replace(columns, **{name: value for name, value in flags.items() if value})


def _read_column_file(path: Path) -> Columns:
    """Read the column_info.json of the Multimodal-Toolkit (Gu and Budhkar, 2021)."""
    keys = {
        "text_cols": "text",
        "cat_cols": "categorical",
        "num_cols": "numeric",
        "label_col": "label",
        "label_list": "label_list",
        "text_col_sep_token": "delimiter",
    }
    if not path.is_file():
        raise UserError("no such file", where=str(path), fix="check --column_file")
    try:
        stored = json.loads("".join(TextFile(path)))
    except json.JSONDecodeError as error:
        raise UserError(f"broken JSON ({error.msg})", where=f"{path}:{error.lineno}", fix="correct this line") from None
    if not isinstance(stored, dict):
        raise UserError("not a JSON object", where=str(path), fix=f"use the keys {', '.join(keys)}")
    parts: dict[str, Any] = {}
    for key, value in stored.items():
        if key not in keys:
            raise UserError(f"unknown key {key!r}", where=str(path), fix=did_you_mean(key, keys))
        is_list = key in ("text_cols", "cat_cols", "num_cols", "label_list")
        if isinstance(value, list) != is_list:
            kind = "a list" if is_list else "one text"
            raise UserError(f"{key} must be {kind}, got {value!r}", where=str(path), fix="correct it")
        parts[keys[key]] = tuple(map(str, value)) if isinstance(value, list) else value
    return Columns(**parts)


def _from_saved(columns: Columns, saved: TaskSchema, present: Sequence[str]) -> Columns:
    """Fill what the flags leave open from the saved schema; the table columns are always the saved ones."""
    text = saved.text
    table = saved.columns
    numeric = tuple(c.name for c in table.numeric)
    categorical = tuple(c.name for c in table.categorical) + text.columns_as_text
    return replace(
        columns,
        text=columns.text or text.columns,
        pair=columns.pair or text.pair_column,
        label=columns.label or saved.label_column,
        id=columns.id or (saved.id_column if saved.id_column in present else None),
        categorical=categorical,
        numeric=numeric,
        delimiter=text.delimiter if text.columns else columns.delimiter,
        label_list=columns.label_list or saved.label_list,
    )


def _check_parts(columns: Columns, source: str) -> None:
    if columns.label is not None and columns.label in columns.inputs:
        raise UserError(f"the label column {columns.label!r} is also an input", where=source, fix="name it once")
    for kind, names in (("text", columns.text), ("categorical", columns.categorical), ("numeric", columns.numeric)):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise UserError(f"{twice!r} stands twice among the {kind} columns", where=source, fix="name it once")
    if columns.pair in columns.text:
        raise UserError(f"{columns.pair!r} is both text and second text", where=source, fix="name another column")
    both = set(columns.categorical) & set(columns.numeric)
    if both:
        raise UserError(f"{min(both)!r} is both categorical and numeric", where=source, fix="name it once")


def _guess(columns: Columns, present: Sequence[str], source: str) -> ResolvedColumns:
    """Find text and label by the usual names, or as the only column that is left."""
    notes = []
    claimed = {getattr(columns, part.name) for part in fields(Columns) if isinstance(getattr(columns, part.name), str)}
    claimed |= set(columns.inputs)
    free = [name for name in present if name not in claimed and not _is_index(name)]
    if columns.label is None:
        columns = replace(columns, label=guess_label(free))
        free = [name for name in free if name != columns.label]
        if columns.label:
            notes.append(f"{source}: {columns.label!r} taken as the label (--label_column_name says otherwise)")
    if not columns.text:
        text, pair = _guess_text(free, wants_pair=columns.pair is None)
        if not text:
            raise UserError(
                f"which column is the text? There are: {', '.join(present)}",
                where=source,
                fix="pass --text_column_names",
            )
        columns = replace(columns, text=(text,), pair=columns.pair or pair)
        free = [name for name in free if name not in (text, pair)]
        read = f"{text!r} and {pair!r} taken as a pair of texts" if pair else f"{text!r} taken as the text"
        notes.append(f"{source}: {read} (--text_column_names says otherwise)")
    if columns.label is None and len(free) == 1:
        columns = replace(columns, label=free[0])
        notes.append(f"{source}: {free[0]!r} taken as the label, the only column left")
    return ResolvedColumns(columns, notes)


def _guess_text(free: Sequence[str], *, wants_pair: bool) -> tuple[str | None, str | None]:
    by_lower = {name.lower().replace(" ", "_"): name for name in reversed(free)}
    for first, second in PAIR_NAMES:
        if wants_pair and first in by_lower and second in by_lower:
            return by_lower[first], by_lower[second]
    for name in TEXT_NAMES:
        if name in by_lower:
            return by_lower[name], None
    return (free[0], None) if len(free) == 1 else (None, None)


def _is_index(name: str) -> bool:
    return name.lower() in ID_NAMES or name.startswith("unnamed_")
