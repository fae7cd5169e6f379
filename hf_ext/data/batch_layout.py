"""Where the tokens of each row stand in a padded batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class BatchLayout:
    """Where the tokens of each row stand in the padded batch: at first on the left, in the end on the tokenizer's side.

    Args:
        lengths: The tokens of each row, shape ``(B,)``.
        size: The tokens of a padded row, T; not less than the longest row has.
        left: Whether padding ends up on the left.

    Attributes:
        real: Where tokens stand as long as all of them begin on the left, bool ``(B, T)``.
    """

    def __init__(self, lengths: NDArray[np.int64], size: int, *, left: bool) -> None:
        counts = lengths[:, None]
        self.size = size
        self.real = np.arange(size) < counts  # (B, T)
        self.is_full = bool(lengths.min() == size)
        self.columns = (np.arange(size) + counts) % size if left else None  # (B, T)

    def pad(self, values: NDArray[Any], fill: int | bool) -> NDArray[Any]:
        """Cut what stands end to end into rows, padded on the right.

        Args:
            values: A value for each token of each row, shape ``(N,)``.
            fill: What padding is written with.

        Returns:
            Shape ``(B, T)``; bool where the filling is, else int64.
        """
        kind: DTypeLike = np.bool_ if isinstance(fill, bool) else np.int64
        if self.is_full:
            return values.astype(kind).reshape(self.real.shape)
        padded = np.full(self.real.shape, fill, dtype=kind)
        padded[self.real] = values
        return padded

    def place(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Move rows that are padded on the right to where they are to be."""
        return padded if self.columns is None else np.take_along_axis(padded, self.columns, axis=1)


def padded_size(longest: int, *, max_length: int | None = None, pad_to_multiple_of: int | None = None) -> int:
    """Give the tokens of a padded row: those of the longest row, or ``max_length`` if that is more, rounded up."""
    size, multiple = max(longest, max_length or 0), pad_to_multiple_of or 1
    return -(-size // multiple) * multiple
