"""What the checks of a run have found, for the screen and for ``data_report.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_ext.data.checks.findings import Finding
from hf_ext.errors import UserError

REPORT_FILE = "data_report.json"

Figures = dict[str, Any]


@dataclass
class DataReport:
    """Figures of each split, and everything that was noticed.

    Args:
        splits: By split name: ``source``, plain numbers, and tables of numbers (such as rows of each label).
        notes: Sentences; those that count something are ``Finding``.
    """

    splits: dict[str, Figures] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """The notes that count something, none twice."""
        return [note for note in dict.fromkeys(self.notes) if isinstance(note, Finding)]

    @property
    def remarks(self) -> list[str]:
        """The other notes, none twice: how files were read."""
        return [note for note in dict.fromkeys(self.notes) if not isinstance(note, Finding)]

    def to_json(self) -> dict[str, Any]:
        """Give all of it as plain values."""
        found = [finding.to_json() for finding in self.findings]
        return {"splits": self.splits, "findings": found, "notes": self.remarks}


def describe_sizes(sizes: Iterable[int] | np.ndarray, unit: str) -> Figures:
    """Give mean, 95th percentile and maximum of the sizes of texts, rounded, by names such as ``characters_max``."""
    array = np.asarray(sizes if isinstance(sizes, np.ndarray) else list(sizes))
    if not len(array):
        return {}
    figures = {"mean": array.mean(), "95%": np.percentile(array, 95), "max": array.max()}
    return {f"{unit}_{name}": round(float(value)) for name, value in figures.items()}


def write_report(report: DataReport, folder: Path) -> Path:
    """Write ``data_report.json`` into a folder, made if absent; give its path.

    Raises:
        UserError: If it cannot be written.
    """
    path = folder / REPORT_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report.to_json(), ensure_ascii=False, indent=2), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=str(path), fix="check --output_dir") from None
    return path
