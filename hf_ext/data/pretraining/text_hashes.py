"""Texts told apart, and dealt to one side or the other, by 64 bits of a hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

HASH_BYTES = 8


def hash_text(text: str) -> int:
    """Give a number of 64 bits by which repeated texts are found."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).digest(), "little")


def find_different(hashes: np.ndarray) -> np.ndarray:
    """Give the number of the first document of every different text, ascending.

    Among ten million texts, two different ones are taken for the same once in 400,000 runs.
    """
    _, first = np.unique(hashes, return_index=True)
    return np.sort(first)


@dataclass(frozen=True)
class HeldOut:
    """Which documents are held out of a stream: those whose text hashes into a share of all numbers.

    So a document is on the same side however it is reached, and its repeats with it.

    Args:
        percentage: Of the documents, on average.
        seed: Another seed holds others out.
    """

    percentage: float
    seed: int

    def holds(self, text: str) -> bool:
        """Whether a document with this text is held out."""
        return self.percentage > 0 and hash_text(f"{self.seed}\n{text}") < self.percentage / 100 * 2.0**64
