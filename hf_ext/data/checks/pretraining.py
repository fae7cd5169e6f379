"""All that is worth a look in the text of a pretraining run."""

from __future__ import annotations

import numpy as np

from hf_ext.data.checks.compared_rows import NONE, ComparedRows
from hf_ext.data.checks.findings import Finding
from hf_ext.data.checks.repeats import find_repeats
from hf_ext.data.checks.report import DataReport, describe_sizes
from hf_ext.data.checks.text_cells import count_characters, find_broken
from hf_ext.data.pretraining.document_splits import DocumentSplit
from hf_ext.data.pretraining.pretraining_data import PretrainingData

SHORT = 20  # characters; a shorter document is hardly one
MANY = 0.2  # share of short documents worth a word
BATCH = 1000  # documents in memory at a time


def inspect_pretraining(data: PretrainingData) -> DataReport:
    """Look at the documents of every split, some at a time; a stream is passed over.

    Args:
        data: Documents that have been read; what is noted there is in the report too.
    """
    report = DataReport(notes=list(data.notes))
    for name, split in data.splits.items():
        if isinstance(split, DocumentSplit):
            numbers = np.sort(np.concatenate(split.groups))
            lengths, broken = _measure(split, numbers)
            figures = {"source": split.source, "rows": len(numbers), "characters": int(lengths.sum())}
            report.splits[name] = figures | describe_sizes(lengths, "document")
            report.notes += broken + find_short(lengths, split.source) + _find_repeats(split, numbers)
    return report


def find_short(lengths: np.ndarray, source: str) -> list[Finding]:
    """Say when many documents have hardly any text."""
    short = int((lengths < SHORT).sum())
    if short < MANY * len(lengths):
        return []
    what = f"documents have fewer than {SHORT} characters; do these lines belong together?"
    fix = "pass --document_boundary empty_line or section"
    return [Finding("short_documents", source, short, what, total=len(lengths), fix=fix)]


def _measure(split: DocumentSplit, numbers: np.ndarray) -> tuple[np.ndarray, list[Finding]]:
    """Count the characters of each document, and find the ones with broken characters."""
    documents = split.corpus.documents.with_format("arrow")
    lengths: list[np.ndarray] = []
    broken: list[Finding] = []
    for start in range(0, len(numbers), BATCH):
        batch = documents[numbers[start : start + BATCH].tolist()]
        texts = batch.column("text").combine_chunks()
        lengths.append(count_characters(texts))
        broken += find_broken(texts, batch.column("line").to_numpy(), split.source)
    if len(broken) > 1:
        first, count = broken[0], sum(finding.number for finding in broken)
        broken = [Finding(first.check, first.source, count, first.what, line=first.line, fix=first.fix)]
    return np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int64), broken


def _find_repeats(split: DocumentSplit, numbers: np.ndarray) -> list[Finding]:
    hashes = split.corpus.column("hash")[numbers]
    codes = np.unique(hashes, return_inverse=True)[1].reshape(-1)
    nobody = np.full(len(numbers), NONE)
    rows = ComparedRows(split.name, split.source, split.corpus.column("line")[numbers], codes, codes, nobody)
    fix = "pass --drop_duplicates" if split.name == "train" else None
    return find_repeats(rows, unit="documents", fix=fix)
