"""Several documents in one row, each of which sees nothing of the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PADDING = -1  # the document of a padding token


def sum_documents(lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the tokens that the documents of each row have together.

    Args:
        lengths: The tokens of each document, those of one row after those of the row before, shape ``(D,)``.
        counts: How many documents each row has, shape ``(B,)``.

    Returns:
        Tokens, shape ``(B,)``.
    """
    ends = np.append(0, lengths.cumsum())[counts.cumsum()]  # (B,)
    return np.diff(ends, prepend=0)


def number_documents(lengths: NDArray[np.int64], counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Say which document of its row each token is part of.

    Args:
        lengths: The tokens of each document, shape ``(D,)``; those of a row together at most ``size``.
        counts: How many documents each row has, shape ``(B,)``.
        size: How many tokens a padded row has.

    Returns:
        The document, counted from 0 within the row, ``PADDING`` after the last one, shape ``(B, T)``.
    """
    within = np.arange(len(lengths)) - np.repeat(counts.cumsum() - counts, counts)  # document of its row
    numbers = np.full((len(counts), size), PADDING, dtype=np.int64)
    numbers[np.arange(size) < sum_documents(lengths, counts)[:, None]] = np.repeat(within, lengths)
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
