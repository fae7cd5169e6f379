"""Which documents are trained on and which are held out, whole and at random."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_ext.data.checks.findings import Finding
from hf_ext.data.pretraining.corpus import Corpus
from hf_ext.data.pretraining.corpus_files import describe_files
from hf_ext.data.splits import split_rows
from hf_ext.errors import UserError


@dataclass
class Sides:
    """Numbers of documents within a corpus, ascending.

    Args:
        train: Documents to train on.
        validation: Documents held out.
        notes: What a reader of the log should know.
    """

    train: np.ndarray
    validation: np.ndarray
    notes: list[str] = field(default_factory=list)

    def to_json(self, corpus: Corpus, percentage: float, seed: int) -> dict[str, Any]:
        """Give what ``split_indices.json`` holds; documents that it does not list are trained on (or repeats)."""
        return {
            "source": [Path(file).name for file in corpus.files],
            "rows": len(corpus.documents),
            "validation_split_percentage": percentage,
            "split_seed": seed,
            "validation": self.validation.tolist(),
        }


def hold_out(corpus: Corpus, kept: np.ndarray, *, percentage: float, seed: int, source_of: np.ndarray) -> Sides:
    """Draw validation documents, the same percentage of each source, at least one in all.

    Args:
        corpus: The documents.
        kept: Numbers of those to be divided, ascending.
        percentage: Of the documents, for validation.
        seed: The same seed gives the same documents on every machine.
        source_of: Number of the source of each file.

    Raises:
        UserError: If there are too few documents.
    """
    if len(kept) < 2:
        raise UserError(
            "one document cannot be split into training and validation text",
            where=corpus.where(int(kept[0])),
            fix="pass --validation_file, or another --document_boundary (line, empty_line)",
        )
    sources = source_of[corpus.column("file")[kept]]
    strata = [str(source) for source in sources.tolist()] if sources.any() else len(kept)
    try:
        sides = split_rows(strata, validation=max(percentage / 100, 1 / len(kept)), seed=seed)
    except UserError:  # names flags of other scripts
        what = f"too few documents ({len(kept)}) to hold {percentage:g} % out of each source and train on the others"
        fix = "pass --validation_file, another --document_boundary or percentage, or more text"
        raise UserError(what, where=describe_files(corpus.files), fix=fix) from None
    train, validation = kept[sides.train], kept[sides.validation]
    hashes = corpus.column("hash")
    shared = int(np.isin(hashes[validation], hashes[train]).sum())
    source, fix = describe_files(corpus.files), "pass --drop_duplicates"
    return Sides(train, validation, [note_leak(source, shared, len(validation), fix)] if shared else [])


def note_leak(source: str, shared: int, documents: int, fix: str) -> str:
    """Say how many validation documents are training documents too."""
    what = "validation documents occur in the training text too"
    return Finding("seen_in_training", source, shared, what, total=documents, fix=fix)
