"""Cutting one file into training, validation and test rows, the same way every time."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_ext.errors import UserError

SIDES = ("train", "validation", "test")


@dataclass
class SplitRows:
    """The row numbers of each side: positions from 0 in the file as read, in ascending order.

    Args:
        train: Rows to train on.
        validation: Rows held out for validation.
        test: Rows held out for test.
        notes: What a reader of the log should know, one sentence each.
    """

    train: list[int] = field(default_factory=list)
    validation: list[int] = field(default_factory=list)
    test: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self, source: str, rows: int) -> dict[str, Any]:
        """Give what ``split_indices.json`` holds, so that another run can cut the same file the same way."""
        return {"source": source, "rows": rows, "train": self.train, "validation": self.validation, "test": self.test}

    def select(self, rows: Sequence[int]) -> SplitRows:
        """Translate positions within ``rows`` back into the row numbers that ``rows`` lists."""
        train, validation, test = (sorted(rows[i] for i in getattr(self, side)) for side in SIDES)
        return SplitRows(train, validation, test, notes=self.notes)


def split_rows(
    strata: Sequence[str] | int,
    *,
    validation: float = 0.0,
    test: float = 0.0,
    seed: int = 42,
    groups: Sequence[str] | None = None,
) -> SplitRows:
    """Hold out a validation and a test fraction of the rows, reproducibly.

    Args:
        strata: The label of each row, whose shares are kept on every side; or the number of rows for a plain split.
        validation: Fraction of the rows for validation, 0 for none.
        test: Fraction of the rows for test, 0 for none.
        seed: The same seed gives the same sides on every machine.
        groups: Rows with the same group stay on one side; the strata are then not looked at.

    Raises:
        UserError: If the fractions leave nothing to train on, or a side asked for stays empty.
    """
    rows = strata if isinstance(strata, int) else len(strata)
    if validation + test >= 1:
        raise UserError(
            f"--validation_split {validation} and --test_split {test} leave no rows to train on",
            fix="choose fractions that sum to less than 1",
        )
    generator = random.Random(seed)
    if groups is not None:
        result = _split_groups(groups, validation, test, generator)
    elif isinstance(strata, int):
        result = _split_strata([""] * rows, validation, test, generator)
    else:
        result = _split_strata(strata, validation, test, generator)
    for side, wanted in (("train", True), ("validation", validation), ("test", test)):
        if wanted and not getattr(result, side):
            rare = "".join(f"; {note}" for note in result.notes if "too rare" in note)
            raise UserError(
                f"no row is left for {side} when {rows} rows are split{rare}",
                fix="check the label column, use larger files, or other values of --validation_split and --test_split",
            )
    return result


def read_split_indices(path: Path, *, rows: int, source: str) -> SplitRows:
    """Read ``split_indices.json`` of an earlier run.

    Args:
        path: The file that run has saved.
        rows: How many rows the file to be split has now.
        source: That file's name, for messages.

    Raises:
        UserError: If the file is missing or broken, or was made for a file with another number of rows.
    """
    if not path.is_file():
        raise UserError("no such file", where=str(path), fix="check --split_indices")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        sides = {side: sorted(int(i) for i in stored.get(side, [])) for side in SIDES}
        expected = int(stored["rows"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"not a split_indices.json ({error})", where=str(path), fix="check --split_indices") from None
    if expected != rows:
        raise UserError(
            f"made for {expected} rows of {stored.get('source')}, but {source} has {rows}",
            where=str(path),
            fix="use the file that was split, or split again with --validation_split",
        )
    taken = [i for side in sides.values() for i in side]
    if len(set(taken)) < len(taken) or any(not 0 <= i < rows for i in taken):
        raise UserError("a row number occurs twice or is out of range", where=str(path), fix="split again")
    return SplitRows(sides["train"], sides["validation"], sides["test"])


def find_duplicates(texts: Sequence[object], labels: Sequence[object]) -> tuple[list[int], list[str]]:
    """Find the first row of every different text.

    Args:
        texts: The text of each row, or a tuple of its texts.
        labels: The label of each row.

    Returns:
        The row numbers to keep, ascending, and a note when there were repeats.
    """
    first: dict[object, int] = {}
    kept, contradicting = [], 0
    for i, text in enumerate(texts):
        if text not in first:
            first[text] = i
            kept.append(i)
        elif labels[first[text]] != labels[i]:
            contradicting += 1
    dropped = len(texts) - len(kept)
    note = f"{dropped} rows with a repeated text left out, {contradicting} of them with another label than the first"
    return kept, [note] if dropped else []


def _split_strata(strata: Sequence[str], validation: float, test: float, generator: random.Random) -> SplitRows:
    members: dict[str, list[int]] = defaultdict(list)
    for i, stratum in enumerate(strata):
        members[stratum].append(i)
    sides = 1 + (validation > 0) + (test > 0)
    small = {stratum for stratum, rows in members.items() if len(rows) < sides}
    result = SplitRows()
    shares = {stratum: len(rows) for stratum, rows in members.items() if stratum not in small}
    tests = _apportion(shares, test)
    validations = _apportion({s: n - tests[s] for s, n in shares.items()}, validation, of=sum(shares.values()))
    for stratum in sorted(members):
        rows = members[stratum]
        generator.shuffle(rows)
        n_test, n_validation = tests.get(stratum, 0), validations.get(stratum, 0)
        result.test += rows[:n_test]
        result.validation += rows[n_test : n_test + n_validation]
        result.train += rows[n_test + n_validation :]
    if small:
        count = sum(len(members[s]) for s in small)
        named = ", ".join(map(repr, sorted(small)[:3]))
        result.notes.append(f"{count} rows of labels too rare to split ({named}) all went to training")
    return _sorted(result)


def _apportion(sizes: dict[str, int], fraction: float, *, of: int | None = None) -> dict[str, int]:
    """Share ``round(fraction * rows)`` places among the strata by largest remainder, leaving each a row to train on."""
    total = sum(sizes.values())
    places = round(fraction * (total if of is None else of))
    quotas = {s: places * n / total for s, n in sizes.items()} if total else {}
    given = {s: min(int(q), sizes[s] - 1) for s, q in quotas.items()}
    by_remainder = sorted(quotas, key=lambda s: (given[s] - quotas[s], s))
    for stratum in by_remainder[: places - sum(given.values())]:
        if given[stratum] < sizes[stratum] - 1:
            given[stratum] += 1
    return given


def _split_groups(groups: Sequence[str], validation: float, test: float, generator: random.Random) -> SplitRows:
    members: dict[str, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        members[group].append(i)
    order = sorted(members)
    generator.shuffle(order)
    result = SplitRows(notes=[f"split by {len(members)} groups, so label shares may differ between the sides"])
    for group in order:
        rows = members[group]
        if len(result.test) + len(rows) / 2 <= test * len(groups):
            result.test += rows
        elif len(result.validation) + len(rows) / 2 <= validation * len(groups):
            result.validation += rows
        else:
            result.train += rows
    return _sorted(result)


def _sorted(result: SplitRows) -> SplitRows:
    for side in SIDES:
        getattr(result, side).sort()
    return result
