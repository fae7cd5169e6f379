"""Several documents in one row, each of which sees nothing of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PADDING = -1  # the document of a padding token


def number_documents(lengths: Sequence[Sequence[int]], size: int) -> NDArray[np.int64]:
    """Say which document of its row each token is part of.

    Args:
        lengths: The lengths of the documents of each row, in tokens; together at most ``size``.
        size: How many tokens a padded row has.

    Returns:
        The document, counted from 0 within the row, ``PADDING`` after the last one, shape ``(B, T)``.
    """
    counts = np.array([len(row) for row in lengths])
    sizes = np.concatenate([np.asarray(row, dtype=np.int64) for row in lengths])
    within = np.arange(len(sizes)) - np.repeat(counts.cumsum() - counts, counts)  # document of its row
    totals = np.add.reduceat(sizes, counts.cumsum() - counts)
    numbers = np.full((len(counts), size), PADDING, dtype=np.int64)
    numbers[np.arange(size) < totals[:, None]] = np.repeat(within, sizes)
    return numbers


def number_positions(documents: NDArray[np.int64], *, offset: int) -> NDArray[np.int64]:
    """Count positions from ``offset`` in every document; padding tokens all have the position 0.

    Args:
        documents: The document of each token, shape ``(B, T)``.
        offset: The position of a first token: 0, or ``padding_idx + 1`` in RoBERTa and its kin.

    Returns:
        The positions, shape ``(B, T)``.
    """
    columns = np.arange(documents.shape[1])
    begins = np.ones(documents.shape, dtype=bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    first = np.maximum.accumulate(np.where(begins, columns, 0), axis=1)
    return np.where(documents == PADDING, 0, columns - first + offset)


def mask_documents(documents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Let every token see its own document and nothing else.

    Padding tokens see one another, so that no token is left without any: attention would turn that into NaN.

    Args:
        documents: The document of each token, shape ``(B, T)``.

    Returns:
        True where the token of the third axis sees that of the fourth, shape ``(B, 1, T, T)``.
    """
    narrow = documents.astype(np.int16)  # compares four times as fast
    return narrow[:, None, :, None] == narrow[:, None, None, :]
