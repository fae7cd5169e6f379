"""Cutting training rows into folds of which each is held out once: stratified, and no text in two of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from hf_ext.data.arguments import SourceArguments
from hf_ext.data.splits import SplitRows
from hf_ext.errors import UserError

MOST_BINS = 10  # of numbers


@dataclass(frozen=True)
class Folds:
    """Which fold holds out which row.

    Args:
        fold_of: The fold of each row, counted from 1; None for a row that no fold holds out.
        notes: What a reader of the log should know, one sentence each.
    """

    fold_of: list[int | None]
    notes: list[str] = field(default_factory=list)

    def sides(self, fold: int, held_out: str) -> SplitRows:
        """Give the rows to train on and the rows held out.

        Args:
            fold: Which fold, counted from 1.
            held_out: ``validation`` or ``test``: the side that its rows stand on.
        """
        rows = range(len(self.fold_of))
        sides = SplitRows(train=[i for i in rows if self.fold_of[i] != fold], notes=self.notes)
        setattr(sides, held_out, [i for i in rows if self.fold_of[i] == fold])
        return sides


def leave_out_fold(
    arguments: SourceArguments,
    labels: Sequence[str | Sequence[str] | None],
    texts: Sequence[Sequence[str]],
    *,
    held_out: str,
    groups: Sequence[Hashable] | None = None,
    numbers: bool = False,
) -> SplitRows:
    """Cut rows as ``arguments`` say, and leave out the fold that they name.

    Args:
        arguments: ``num_folds``, ``split_seed`` and ``fold``.
        labels: The label of each row, or several; numbers as text are spread by the tenth they lie in.
        texts: The texts of each row; rows with the same ones stay together, unless these are blank.
        held_out: The side of the rows left out: ``validation`` or ``test``.
        groups: Rows of the same group stay together as well.
        numbers: Whether the labels are numbers.

    Raises:
        UserError: If a fold stays empty.
    """
    if not arguments.num_folds or not arguments.fold:
        raise ValueError(f"num_folds and fold must be given, got {arguments.num_folds} and {arguments.fold}.")
    if numbers:
        names = quantile_bins([float(str(label)) for label in labels], arguments.num_folds)
    else:
        names = [[label] if isinstance(label, str) else list(label or ()) for label in labels]
    keys: list[list[Hashable | None]] = [[tuple(text) if "".join(text).strip() else None for text in texts]]
    if groups is not None:
        keys.append(list(groups))
    folds = cut_folds(names, arguments.num_folds, seed=arguments.split_seed, groups=group_rows(*keys))
    return folds.sides(arguments.fold, held_out)


def cut_folds(
    names: Sequence[Sequence[str]], num_folds: int, *, seed: int, groups: Sequence[Hashable] | None = None
) -> Folds:
    """Give every row a fold, such that each name comes about equally often in each of them.

    The rarest names are dealt out first, each to the fold that has fewest of it, and of such folds to the smallest one
    (after the iterative stratification of Sechidis, Tsoumakas and Vlahavas, 2011; we count once, before the first row
    is dealt, how rare a name is). With one name a row and no groups, a name comes at most once more in one fold than in
    another.

    Args:
        names: What is to be spread of each row: its label, its labels, the types of its entities; may be empty.
        num_folds: How many folds, at least 2.
        seed: The same seed gives the same folds on every machine.
        groups: Rows of the same group stay together; None if each row may go anywhere.

    Returns:
        The folds. A name whose rows would all lie in one fold would be unknown to what is trained on the others: its
        rows are in no fold, and always trained on.

    Raises:
        UserError: If a fold stays empty.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row, group in enumerate(range(len(names)) if groups is None else groups):
        members[group].append(row)
    dealt = _deal(list(members.values()), [row or ("",) for row in names], num_folds, random.Random(seed))
    fold_of: list[int | None] = list(dealt)
    lonely = _names_of_one_fold(names, dealt)
    kept = [row for row, own in enumerate(names) if lonely.intersection(own)]
    for row in kept:
        fold_of[row] = None
    for fold in range(1, num_folds + 1):
        if fold not in fold_of:
            raise UserError(
                f"no row is left for fold {fold} of {num_folds}: {len(names)} rows in {len(members)} groups are cut",
                fix="choose a smaller --num_folds, or check the label column",
            )
    notes = []
    if kept:
        listed = ", ".join(map(repr, sorted(lonely)[:3]))
        notes.append(f"{len(kept)} rows of labels too rare for two folds ({listed}) are in none, and always trained on")
    return Folds(fold_of, notes)


def group_rows(*keys: Sequence[Hashable | None]) -> list[int]:
    """Give rows the same number that share a key, be it over other rows.

    Args:
        keys: For each thing to be kept together, such as the text or a column, one key a row; None joins nothing.
    """
    leaders = list(range(len(keys[0])))

    def find(row: int) -> int:
        while leaders[row] != row:
            leaders[row] = leaders[leaders[row]]
            row = leaders[row]
        return row

    for column in keys:
        first: dict[Hashable, int] = {}
        for row, key in enumerate(column):
            if key is not None:
                leaders[find(row)] = find(first.setdefault(key, row))
    return [find(row) for row in range(len(leaders))]


def quantile_bins(numbers: Sequence[float], num_folds: int) -> list[list[str]]:
    """Name the tenth of all rows that each number lies in, or larger parts where a tenth is less than a row a fold."""
    bins = max(1, min(MOST_BINS, len(numbers) // num_folds))
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    names = [[""]] * len(numbers)
    for rank, row in enumerate(order):
        names[row] = [str(rank * bins // len(order))]
    return names


def _deal(
    groups: Sequence[list[int]], names: Sequence[Sequence[str]], num_folds: int, generator: random.Random
) -> list[int]:
    totals = Counter(name for row in names for name in row)

    def rarity(name: str) -> tuple[int, str]:
        return totals[name], name

    strata: dict[str, list[list[int]]] = defaultdict(list)
    for rows in groups:
        strata[min((name for row in rows for name in names[row]), key=rarity)].append(rows)
    fold_of, sizes = [0] * len(names), [0] * num_folds
    counts: list[Counter[str]] = [Counter() for _ in range(num_folds)]
    for stratum in sorted(strata, key=rarity):
        generator.shuffle(strata[stratum])
        for rows in sorted(strata[stratum], key=len, reverse=True):
            fold = min(range(num_folds), key=lambda k: (counts[k][stratum], sizes[k]))
            counts[fold].update(name for row in rows for name in names[row])
            sizes[fold] += len(rows)
            for row in rows:
                fold_of[row] = fold + 1
    return fold_of


def _names_of_one_fold(names: Sequence[Sequence[str]], fold_of: Sequence[int]) -> set[str]:
    folds: dict[str, set[int]] = defaultdict(set)
    for own, fold in zip(names, fold_of, strict=True):
        for name in own:
            folds[name].add(fold)
    return {name for name, found in folds.items() if len(found) == 1}
