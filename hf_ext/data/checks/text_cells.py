"""Texts that are empty, or that were broken before they came here."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyarrow import compute

from hf_ext.data.checks.findings import Finding

BROKEN = "\N{REPLACEMENT CHARACTER}|[\x01-\x08\x0e-\x1f]"  # what decoders leave behind, and control characters


def count_characters(texts: pa.Array) -> np.ndarray:
    """Give the length of each text in characters."""
    return np.asarray(compute.utf8_length(texts).to_numpy(zero_copy_only=False))


def find_broken(texts: pa.Array, lines: np.ndarray, source: str) -> list[Finding]:
    """Count texts with characters that no one writes: U+FFFD from a wrong encoding, or control characters.

    Args:
        texts: A column of text.
        lines: The line of each.
        source: The file.
    """
    broken = np.flatnonzero(compute.match_substring_regex(texts, BROKEN).to_numpy(zero_copy_only=False))
    if not len(broken):
        return []
    what = "texts hold U+FFFD or control characters (this is the first)"
    fix = "look whether the file was written in another encoding"
    line = int(lines[broken[0]])
    return [Finding("broken_characters", source, len(broken), what, line=line, total=len(texts), fix=fix)]
