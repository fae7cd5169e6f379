"""Where the words of a masked batch are: the sequences that a CRF sees when everything else is left out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Words(NamedTuple):
    """The positions of each row that are words, and their ranks: 0 for the first word of a row, 1 for the next one.

    Attributes:
        kept: Which positions are words, bool, shape ``(B, T)``.
        rank: The rank of each word, shape ``(B, T)``; never negative, and of use at words only.
        order: The position of each rank, shape ``(B, T)``. Behind the last word it is repeated, so that a loop over
            all T ranks reads nothing but words; a row without words repeats position 0.
        last: Rank of the last word, shape ``(B,)``; -1 in a row without words.
    """

    kept: Tensor
    rank: Tensor
    order: Tensor
    last: Tensor

    @property
    def ranks(self) -> Tensor:
        """Number the columns of ``order``, shape ``(1, T)``."""
        return torch.arange(self.kept.shape[1], device=self.kept.device).unsqueeze(0)

    @property
    def filled(self) -> Tensor:
        """Tell which ranks have a word, bool, shape ``(B, T)``."""
        return self.ranks <= self.last.unsqueeze(1)

    @property
    def from_right(self) -> Tensor:
        """Give the rank that has as many words behind it as the column's number, shape ``(B, T)``; 0 if none has."""
        return (self.last.unsqueeze(1) - self.ranks).clamp_min(0)

    def mirrored(self, values: Tensor) -> Tensor:
        """Count the ranks of ``(B, T)`` from the last word instead of from the first, or back."""
        return values.gather(1, self.from_right)

    def at_ranks(self, values: Tensor) -> Tensor:
        """Bring ``(B, T)`` from positions to ranks."""
        return values.gather(1, self.order)

    def at_positions(self, values: Tensor) -> Tensor:
        """Bring ``(B, T)`` from ranks to the words' positions; elsewhere the result means nothing."""
        return values.gather(1, self.rank)


def find_words(kept: Tensor) -> Words:
    """Count the words of each row with a sum and a scatter, so that nothing has to be read from the device.

    Args:
        kept: Which positions are words, bool, any pattern, shape ``(B, T)``.
    """
    rows, width = kept.shape
    counted = kept.cumsum(1)  # (B, T)
    rank, last = (counted - 1).clamp_min(0), counted[:, -1] - 1
    positions = torch.arange(width, device=kept.device).expand(rows, width)
    order = counted.new_zeros(rows, width + 1)  # one column more, where everything goes that is no word
    order.scatter_(1, torch.where(kept, rank, width), positions)
    return Words(kept, rank, order.gather(1, torch.minimum(positions, last.clamp_min(0).unsqueeze(1))), last)


def sum_ranks(values: Tensor) -> Tensor:
    """Add up ``(B, T)`` over T: pairs of neighbours, pairs of pairs and so on.

    As accurate as a sum can be, and further columns of zeros do not change a bit of it; with ``Tensor.sum`` they
    would, since its order of additions depends on T.

    Returns:
        Sums, shape ``(B,)``.
    """
    values = values if values.shape[1] else values.new_zeros(len(values), 1)
    while values.shape[1] > 1:
        if values.shape[1] % 2:
            values = torch.nn.functional.pad(values, (0, 1))
        values = values[:, 0::2] + values[:, 1::2]
    return values.squeeze(1)
