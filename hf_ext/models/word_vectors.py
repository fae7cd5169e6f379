"""Where the words of a batch stand among its tokens: gather them to the front, put them back."""

from __future__ import annotations

import torch
from torch import Tensor

from .packing import left_order


class WordPlaces:
    """The places of words among the tokens of each row.

    A word is read at one token, usually its first. Layers that look from word to word (recurrent layers, a CRF) must
    not see what lies between, so words are moved to the left end of their row, and the answers moved back. The width
    stays that of the tokens: to learn the largest number of words would make the host wait for the device.

    Args:
        word_mask: Not 0 at the token of each word, shape ``(B, T)``.

    Attributes:
        mask: True for the words once they stand at the front, shape ``(B, T)``.
    """

    def __init__(self, word_mask: Tensor) -> None:
        self._is_word = word_mask.bool()
        self._order = left_order(word_mask)
        self.mask = self._is_word.gather(1, self._order)

    def gather(self, values: Tensor, *, fill: float) -> Tensor:
        """Move the words to the front.

        Args:
            values: One value or vector a token, shape ``(B, T)`` or ``(B, T, X)``.
            fill: What stands behind the words, whatever the other tokens held, NaN included.

        Returns:
            The same shape.
        """
        moved = values.gather(1, _like(self._order, values).expand_as(values))
        return moved.masked_fill(~_like(self.mask, values), fill)

    def scatter(self, values: Tensor, *, fill: float) -> Tensor:
        """Move words from the front to their own tokens: undoes ``gather``.

        Args:
            values: One value or vector a word, shape ``(B, T)`` or ``(B, T, X)``.
            fill: What the tokens get that are no word's.

        Returns:
            The same shape.
        """
        moved = torch.zeros_like(values).scatter(1, _like(self._order, values).expand_as(values), values)
        return moved.masked_fill(~_like(self._is_word, values), fill)


def _like(tokens: Tensor, values: Tensor) -> Tensor:
    """Give a ``(B, T)`` tensor a last dimension where the values have one."""
    return tokens.unsqueeze(-1) if values.dim() == 3 else tokens
