"""The same input twice: within a split, across splits, with one label or with two."""

from __future__ import annotations

import numpy as np

from hf_ext.data.checks.compared_rows import NONE, ComparedRows
from hf_ext.data.checks.findings import Finding


def find_repeats(rows: ComparedRows, *, unit: str = "rows", fix: str | None = None) -> list[Finding]:
    """Count the rows of a split whose input an earlier row has; blank ones are not looked at.

    Args:
        rows: The rows.
        unit: What a row is called.
        fix: What can be done.
    """
    kept = np.flatnonzero(rows.inputs != NONE)
    _, first = np.unique(rows.inputs[kept], return_index=True)
    repeated = np.delete(kept, first)
    if not len(repeated):
        return []
    what, line = f"{unit} repeat an earlier one (this is the first)", int(rows.lines[repeated[0]])
    total = len(rows.inputs)
    return [Finding("repeated_rows", rows.source, len(repeated), what, line=line, total=total, fix=fix)]


def find_contradictions(rows: ComparedRows, *, unit: str = "texts", answer: str = "labels") -> list[Finding]:
    """Count the different inputs that stand in a split with different labels.

    Args:
        rows: The rows.
        unit: What a row is called.
        answer: What its labels are called.
    """
    kept = np.flatnonzero((rows.inputs != NONE) & (rows.answers != NONE))
    kept = kept[np.argsort(rows.inputs[kept], kind="stable")]
    inputs, answers = rows.inputs[kept], rows.answers[kept]
    if not len(inputs):
        return []
    begins = np.flatnonzero(np.r_[True, inputs[1:] != inputs[:-1]])
    sizes = np.diff(np.r_[begins, len(inputs)])
    differs = answers != np.repeat(answers[begins], sizes)  # from the first row with this input
    torn = begins[np.logical_or.reduceat(differs, begins)]
    if not len(torn):
        return []
    earliest = torn[np.argmin(kept[torn])]
    other = kept[earliest + np.argmax(differs[earliest:])]
    lines = f"lines {rows.lines[kept[earliest]]} and {rows.lines[other]}"
    what = f"{unit} stand there with different {answer}, e.g. {lines}"
    fix = "a model can learn but one of them: decide, or leave them out"
    return [Finding("contradictions", rows.source, len(torn), what, fix=fix)]


def find_other_answers(
    train: ComparedRows, other: ComparedRows, *, unit: str = "rows", answer: str = "labels"
) -> list[Finding]:
    """Count rows of another split whose input training knows with other labels only: they cannot be right."""
    usable = (other.inputs != NONE) & (other.answers != NONE)
    shared = usable & np.isin(other.inputs, train.inputs)
    width = int(max(train.answers.max(initial=0), other.answers.max(initial=0))) + 1
    same = np.isin(other.inputs * width + other.answers, (train.inputs * width + train.answers)[train.answers != NONE])
    found = np.flatnonzero(shared & ~same)
    if not len(found):
        return []
    what, line = f"{unit} have other {answer} than in training (this is the first)", int(other.lines[found[0]])
    return [Finding("other_answer_in_training", other.source, len(found), what, line=line, total=len(other.inputs))]


def find_shared(first: ComparedRows, second: ComparedRows, *, unit: str = "texts") -> list[Finding]:
    """Count the texts of the second split that the first one has too."""
    shared = (second.texts != NONE) & np.isin(second.texts, first.texts)
    if not shared.any():
        return []
    what = f"{unit} also occur in the {first.split} rows"
    check = f"seen_in_{'training' if first.split == 'train' else first.split}"
    return [Finding(check, second.source, int(shared.sum()), what, total=len(second.texts))]
