"""Where the words of a masked batch are: the sequence that a CRF sees when everything else is left out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Words(NamedTuple):
    """The kept positions of each row, counted off from the left and from the right.

    Attributes:
        kept: Which positions are words, bool, shape ``(B, T)``.
        rank: How many words stand before a position, shape ``(B, T)``; of use at kept positions only.
        order: The position of the j-th word, shape ``(B, T)``. Behind the last word it is repeated, so that a
            recursion over all T steps reads nothing but words; a row without words repeats position 0.
        last: Rank of the last word, shape ``(B,)``; -1 in a row without words.
    """

    kept: Tensor
    rank: Tensor
    order: Tensor
    last: Tensor

    @property
    def filled(self) -> Tensor:
        """Tell which columns of ``order`` are words and not repetitions, bool, shape ``(B, T)``."""
        return self.columns <= self.last.unsqueeze(1)

    @property
    def columns(self) -> Tensor:
        """Number the columns, shape ``(1, T)``."""
        return torch.arange(self.kept.shape[1], device=self.kept.device).unsqueeze(0)

    @property
    def reversed_rank(self) -> Tensor:
        """Count the words behind each position, shape ``(B, T)``; never negative."""
        return (self.last.unsqueeze(1) - self.rank).clamp_min(0)

    @property
    def reversed_order(self) -> Tensor:
        """Give the position of the j-th word from the right, shape ``(B, T)``; the first word is repeated."""
        return self.order.gather(1, (self.last.unsqueeze(1) - self.columns).clamp_min(0))

    @property
    def follows_another(self) -> Tensor:
        """Tell which words have a word before them, bool, shape ``(B, T)``."""
        return self.kept & (self.rank > 0)

    @property
    def previous(self) -> Tensor:
        """Give the position of the word before each word, shape ``(B, T)``; of the first word its own."""
        return self.order.gather(1, (self.rank - 1).clamp_min(0))


def find_words(kept: Tensor) -> Words:
    """Count the words of each row by sums and one scatter: nothing has to be read back from a device.

    Args:
        kept: Which positions are words, bool, any pattern, shape ``(B, T)``.
    """
    rows, width = kept.shape
    counted = kept.cumsum(1)  # (B, T)
    rank, last = (counted - 1).clamp_min(0), counted[:, -1] - 1
    columns = torch.arange(width, device=kept.device).expand(rows, width)
    order = counted.new_zeros(rows, width + 1)  # one more column, where everything that is no word ends
    order.scatter_(1, torch.where(kept, rank, width), columns)
    return Words(kept, rank, order.gather(1, torch.minimum(columns, last.clamp_min(0).unsqueeze(1))), last)
