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
        filled: Which ranks have a word, bool, shape ``(B, T)``.
        behind: How many words come behind each rank, shape ``(B, T)``; never negative.
        last: Rank of the last word, shape ``(B,)``; -1 in a row without words.
    """

    kept: Tensor
    rank: Tensor
    order: Tensor
    filled: Tensor
    behind: Tensor
    last: Tensor

    def mirrored(self, values: Tensor) -> Tensor:
        """Count the ranks of ``(B, T)`` from the last word instead of from the first, or back."""
        return values.gather(1, self.behind)

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
    columns = torch.arange(width, device=kept.device).expand(rows, width)
    distance = last.unsqueeze(1) - columns
    behind = distance.clamp_min(0)
    order = counted.new_zeros(rows, width + 1)  # one column more, where everything goes that is no word
    order.scatter_(1, torch.where(kept, rank, width), columns)
    order = order.gather(1, (last.unsqueeze(1) - behind).clamp_min(0))
    return Words(kept, rank, order, distance >= 0, behind, last)


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
