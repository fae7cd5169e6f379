"""How often each label occurs, and what is odd about that."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

from hf_ext.data.checks.findings import Finding

RARE = 10  # rows; a label with fewer is hardly learned
RATIO = 10  # between the most frequent label and the rarest, from which it is worth a word
MAJORITY = 0.8  # share of the most frequent label, from which accuracy says little
SHIFT, FEWEST = 0.15, 200  # share of rows with another label than expected, and rows from which it is no chance
NAMED = 3  # labels in a message
JOINTS = re.compile(r"[\s_-]+")


def find_imbalance(counts: Mapping[str, int], source: str, *, fix: str | None = None) -> list[Finding]:
    """Say which training labels are rare, and how far apart the most frequent and the rarest are.

    Args:
        counts: Training rows of each label.
        source: Their file.
        fix: What can be done.
    """
    total = sum(counts.values())
    if len(counts) < 2 or not total:
        return []
    findings = []
    by_count = sorted(counts, key=lambda name: (counts[name], name))
    rarest, commonest = by_count[0], by_count[-1]
    rare = [name for name in by_count if counts[name] < RARE]
    if rare:
        shown = ", ".join(f"{name!r} ({counts[name]})" for name in rare[:NAMED])
        what = f"labels have fewer than {RARE} training rows: {shown}{', …' if len(rare) > NAMED else ''}"
        findings.append(Finding("rare_labels", source, len(rare), what, total=len(counts)))
    if counts[commonest] >= MAJORITY * total:
        what = f"labels are {commonest!r}; a model that always says so is right that often"
        fix = f"look at f1_macro{f'; {fix}' if fix else ''}"
        findings.append(Finding("majority_label", source, counts[commonest], what, total=total, fix=fix))
    elif counts[commonest] >= RATIO * max(counts[rarest], 1) and not rare:
        ratio = counts[commonest] / max(counts[rarest], 1)
        what = f"labels are {rarest!r}; {commonest!r} is {ratio:.0f} times as frequent"
        findings.append(Finding("imbalance", source, counts[rarest], what, total=total, fix=fix))
    return findings


def find_absent(
    train: Mapping[str, int], other: Mapping[str, int], source: str, *, kind: str = "labels"
) -> list[Finding]:
    """Count the training labels that another split lacks: nothing is learned there about how well they are found."""
    absent = [name for name, count in train.items() if count and not other.get(name)]
    if not absent or not any(other.values()):
        return []
    shown = ", ".join(map(repr, absent[:NAMED])) + (", …" if len(absent) > NAMED else "")
    what = f"{kind} of the training rows do not occur here: {shown}"
    return [Finding(f"absent_{kind}", source, len(absent), what, total=len(train))]


def find_shift(train: Mapping[str, int], other: Mapping[str, int], source: str) -> list[Finding]:
    """Say how many rows would need another label for the split to have the shares of training.

    That is the total variation distance between the two distributions, times the rows.
    """
    rows, known = sum(other.values()), sum(train.values())
    if rows < FEWEST or not known:
        return []
    names = set(train) | set(other)
    moved = sum(abs(other.get(name, 0) / rows - train.get(name, 0) / known) for name in names) / 2
    if moved < SHIFT:
        return []
    what = "labels would have to be others for the shares of the training rows; do both come from the same source?"
    return [Finding("shifted_labels", source, round(moved * rows), what, total=rows)]


def find_alike(names: Iterable[str], source: str, *, kind: str = "labels") -> list[Finding]:
    """Find names that differ in case, blanks, hyphens or the width of letters only, such as ``Good`` and ``good``."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold()
        if any(c.isalpha() for c in plain):  # -1 is not 1
            plain = JOINTS.sub("", plain)
        groups[plain].append(name)
    alike = [group for group in groups.values() if len(group) > 1]
    if not alike:
        return []
    shown = "; ".join(" and ".join(map(repr, sorted(group))) for group in alike[:NAMED])
    fix = "spell them alike if they mean the same"
    return [Finding("two_spellings", source, len(alike), f"{kind} are spelled in several ways: {shown}", fix=fix)]
