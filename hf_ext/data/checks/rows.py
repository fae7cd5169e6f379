"""What is wrong with rows, each fault with file, line and remedy; what is merely odd becomes a note."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import datasets

from hf_ext.data.checks.findings import Finding
from hf_ext.data.labels import Label, is_known
from hf_ext.data.rows import LINE_COLUMN
from hf_ext.errors import UserError
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, LabelSchema, TabularSchema, parse_number


def find_labelled(labels: Sequence[Label | None], lines: Sequence[int], source: str) -> tuple[list[int], list[str]]:
    """Give the positions of the rows with a label, and a note about the others."""
    kept = [i for i, label in enumerate(labels) if label is not None]
    dropped = len(labels) - len(kept)
    if not dropped:
        return kept, []
    first = next(lines[i] for i, label in enumerate(labels) if label is None)
    what = "rows without a label left out (this is the first)"
    return kept, [Finding("unlabelled_rows", source, dropped, what, line=first)]


def check_targets(labels: Sequence[Label | None], lines: Sequence[int], source: str, column: str) -> None:
    """Refuse a regression target that is not a finite number; None (unlabelled) passes.

    Raises:
        UserError: Naming file, line and column.
    """
    for label, line in zip(labels, lines, strict=True):
        if label is None:
            continue
        try:
            missing = math.isnan(parse_number(label))
        except ValueError as error:
            raise UserError(
                f"{error} (column {column!r})",
                where=f"{source}:{line}",
                fix="correct it, or leave out --task regression",
            ) from None
        if missing:
            raise UserError(
                f"the target {label!r} is not a number (column {column!r})",
                where=f"{source}:{line}",
                fix="correct the cell; an empty one leaves the row out",
            )


def find_unknown_labels(
    labels: Sequence[Label | None], schema: LabelSchema, lines: Sequence[int], source: str, *, ignore: bool
) -> tuple[set[int], list[str]]:
    """Find rows whose label the model has no output for.

    Args:
        labels: The label of each row, None for unlabelled.
        schema: The labels that training has seen.
        lines: The line of each row.
        source: The file.
        ignore: Give their positions and a note instead of an error.

    Raises:
        UserError: With the count, the first line and its label, unless ``ignore``.
    """
    unknown = [i for i, label in enumerate(labels) if label is not None and not is_known(label, schema)]
    if not unknown:
        return set(), []
    label = labels[unknown[0]]
    name = label if isinstance(label, str) else next(n for n in label or [] if n not in schema.names)
    what, first = f"rows have labels that training has not seen, the first {name!r}", lines[unknown[0]]
    if not ignore:
        numbers = " (names of numbered labels: --label_file)" if name.isdigit() else ""
        fix = f"correct them, or pass --unknown_labels ignore{numbers}"
        raise UserError(f"{len(unknown)} {what}", where=f"{source}:{first}", fix=fix)
    what += "; they are not scored"
    return set(unknown), [Finding("unknown_labels", source, len(unknown), what, line=first)]


def check_numbers(rows: Mapping[str, Sequence[Any]], names: Iterable[str], lines: Sequence[int], source: str) -> None:
    """Refuse a cell of a numeric column that is neither empty nor a finite number.

    Raises:
        UserError: Naming file, line and column.
    """
    for name in names:
        for cell, line in zip(rows[name], lines, strict=True):
            check_number(cell, name, f"{source}:{line}")


def check_number(cell: Any, column: str, where: str) -> None:
    """Refuse one cell that is neither empty nor a finite number.

    Raises:
        UserError: Naming the column and the place.
    """
    try:
        parse_number(cell)
    except ValueError as error:
        raise UserError(
            f"{error} (column {column!r})", where=where, fix="correct the cell, or take the column as categorical"
        ) from None


def checked_numbers(rows: Iterable[Mapping[str, Any]], numeric: Collection[str], source: str) -> Iterator[Any]:
    """Give the rows as they come, refusing a cell of the named columns that is no number.

    Raises:
        UserError: Naming file, line and column.
    """
    for row in rows:
        for name in numeric:
            check_number(row[name], name, f"{source}:{row[LINE_COLUMN]}")
        yield row


def check_plain_text(names: Iterable[str], features: datasets.Features, source: str) -> None:
    """Refuse input columns whose cells are lists.

    Raises:
        UserError: Naming the column.
    """
    for name in names:
        if isinstance(features[name], datasets.List):
            raise UserError(f"column {name!r} holds lists, not text", where=source, fix="join its items in the file")


def check_single_labels(cells: Sequence[Any], lines: Sequence[int], source: str, *, problem_type: str) -> None:
    """Refuse a row with several labels (a JSON or parquet list) in a task that takes one.

    Raises:
        UserError: Naming file and line.
    """
    if problem_type == MULTI_LABEL:
        return
    for cell, line in zip(cells, lines, strict=True):
        if isinstance(cell, list) and len(cell) > 1:
            raise UserError(
                f"{len(cell)} labels in one row ({', '.join(cell[:3])})",
                where=f"{source}:{line}",
                fix="correct the row, or pass --task multi_label",
            )


def note_lost_labels(kept: Iterable[Label | None], whole: Iterable[Label | None], source: str) -> list[str]:
    """Count the labels that ``max_train_samples`` cuts off, as it does in a file that is sorted by label."""
    names = [{name for label in labels for name in _names(label)} for labels in (kept, whole)]
    lost = sorted(names[1] - names[0])
    what = f"labels do not occur among the rows that --max_train_samples keeps, such as {lost[0]!r}" if lost else ""
    fix = "pass --shuffle_train_dataset"
    return [Finding("lost_labels", source, len(lost), what, total=len(names[1]), fix=fix)] if lost else []


def note_unused_delimiter(cells: Sequence[Any], delimiter: str | None, source: str) -> list[str]:
    """Say when no label cell holds what should separate its labels."""
    if not delimiter or any(isinstance(cell, list) or delimiter in cell for cell in cells):
        return []
    return [f"{source}: no label cell holds {delimiter!r}; is --label_delimiter right?"]


def note_repeated_ids(ids: Sequence[str], source: str) -> list[str]:
    """Count the ids that name more than one row."""
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    what = f"ids name several rows, the first {repeated[0]!r}" if repeated else ""
    return [Finding("repeated_ids", source, len(repeated), what)] if repeated else []


def note_empty_texts(texts: Sequence[str], lines: Sequence[int], source: str) -> list[str]:
    """Count rows whose text is blank; they stay."""
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    what = "rows with an empty text (this is the first)"
    return [Finding("empty_texts", source, len(empty), what, line=lines[empty[0]])] if empty else []


def note_unseen_categories(rows: Mapping[str, Sequence[Any]], schema: TabularSchema, source: str) -> list[str]:
    """Count, for each categorical column, the rows whose category shares the unknown bucket."""
    notes: list[str] = []
    for column in schema.categorical:
        known = set(column.categories)
        unseen = [cell for cell in rows[column.name] if cell not in known]
        if unseen:
            what = f"rows with an unknown {column.name!r}, e.g. {unseen[0]!r}"
            notes.append(Finding("unseen_categories", source, len(unseen), what))
    return notes


def note_leaks(train: Iterable[object], other: Sequence[object], source: str) -> list[str]:
    """Count rows whose text also occurs in training: their score is too good."""
    seen = set(train)
    count = sum(text in seen for text in other)
    what = "texts also occur in the training rows"
    return [Finding("seen_in_training", source, count, what, total=len(other))] if count else []


def note_odd_labels(labels: Sequence[Label], schema: LabelSchema, source: str) -> list[str]:
    """Say when labels look like numbers to predict, or like texts."""
    if schema.problem_type == REGRESSION or len(schema.names) < 2:
        return []
    if all(_is_number(name) for name in schema.names) and not all(name.lstrip("-").isdigit() for name in schema.names):
        return [f"{source}: the labels are numbers and taken as names; --task regression would predict their value"]
    if len(labels) > 20 and len(schema.names) > len(labels) / 2:
        return [f"{source}: {len(schema.names)} different labels in {len(labels)} rows; is this the label column?"]
    return []


def _names(label: Label | None) -> Collection[str]:
    return (label,) if isinstance(label, str) else label or ()


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(parse_number(text))
    except ValueError:
        return False
