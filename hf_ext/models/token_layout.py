"""Where the real tokens of a padded batch stand, and how they are laid out without the padding."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CALL = 3_000  # scores (query times key) that one more call of an attention kernel costs on a CPU, measured


@dataclass(frozen=True)
class Bucket:
    """Texts of similar length, padded to the longest of them for a kernel of attention that wants a rectangle.

    Args:
        rows: Number ``R`` of texts.
        length: Tokens ``S`` of the longest.
        mask: Which keys a query sees, bool ``(R, 1, 1, S)``, or ``(R, 1, S, S)`` within a window; None if all.
    """

    rows: int
    length: int
    mask: Tensor | None


class TokenLayout:
    """A batch of ``(B, T)`` tokens as one row of its ``N`` real ones, text after text.

    The row holds the texts in their order and each text's tokens in theirs. Inside attention the texts are either
    told apart by ``boundaries`` or cut into a few rectangles, see ``buckets``.

    Args:
        attention_mask: True for a real token, bool ``(B, T)``.
        places: Where it is true, as ``b * T + t``, int64 ``(N,)``.
        window: Farthest distance in real tokens that a query sees to either side; None for the whole text.
    """

    def __init__(self, attention_mask: Tensor, places: Tensor, window: int | None = None) -> None:
        self.shape = attention_mask.shape
        self.places = places
        self.window = window
        self.lengths = attention_mask.sum(1)  # (B,)
        self.ends = self.lengths.cumsum(0)  # (B,)
        self._buckets: tuple[list[Bucket], Tensor, Tensor] | None = None

    def flatten(self, padded: Tensor) -> Tensor:
        """Take the real tokens out of ``(B, T, H)``, or of ``(1, T, H)`` for all texts: ``(1, N, H)``."""
        if padded.shape[0] != self.shape[0]:
            padded = padded.expand(self.shape[0], -1, -1)
        return padded.reshape(-1, padded.shape[-1]).index_select(0, self.places)[None]

    def unflatten(self, flat: Tensor) -> Tensor:
        """Put ``(1, N, H)`` back to its places: ``(B, T, H)``, zeros where padding stood."""
        batch, length = self.shape
        empty = flat.new_zeros(batch * length, flat.shape[-1])
        return empty.index_copy(0, self.places, flat[0]).view(batch, length, -1)

    @property
    def boundaries(self) -> Tensor:
        """Where each text begins, and the end of the last: int32 ``(B + 1,)``."""
        return torch.nn.functional.pad(self.ends, (1, 0)).to(torch.int32)

    def buckets(self) -> tuple[list[Bucket], Tensor, Tensor]:
        """Cut the texts into rectangles; done once for all layers.

        On a CPU there are as many as pay: texts of one length need no mask, and a call has its price. Elsewhere there
        is one, since the lengths would have to be waited for.

        Returns:
            The rectangles; which token of the row stands in each of their ``M`` places, row after row and rectangle
            after rectangle, int64 ``(M,)``, of which those beyond a text's end are any of its tokens; and the reverse,
            the place of each token, int64 ``(N,)``.
        """
        if self._buckets is None:
            self._buckets = self._cut()
        return self._buckets

    def _cut(self) -> tuple[list[Bucket], Tensor, Tensor]:
        buckets, tokens, places, taken = [], [], torch.empty_like(self.places), 0
        for rows, length in self._groups():
            lengths, ends = self.lengths[rows], self.ends[rows]
            steps = torch.arange(length, device=lengths.device)
            real = steps < lengths[:, None]  # (R, S)
            index = ((ends - lengths)[:, None] + steps).minimum(ends[:, None] - 1).clamp_min(0)  # (R, S)
            numbers = torch.arange(taken, taken + index.numel(), device=index.device).view_as(index)
            places[index[real]] = numbers[real]
            buckets.append(Bucket(len(lengths), length, self._mask(lengths, steps)))
            tokens.append(index.reshape(-1))
            taken += index.numel()
        return buckets, torch.cat(tokens), places

    def _groups(self) -> list[tuple[Tensor | slice, int]]:
        """Choose the texts of each rectangle, and its length."""
        if self.lengths.device.type != "cpu":
            return [(slice(None), self.shape[1])]
        lengths = self.lengths.tolist()
        order = sorted((row for row, length in enumerate(lengths) if length), key=lambda row: -lengths[row])
        cuts = [0, *cut_by_length([lengths[row] for row in order]), len(order)]
        return [(torch.tensor(order[start:end]), lengths[order[start]]) for start, end in itertools.pairwise(cuts)]

    def _mask(self, lengths: Tensor, steps: Tensor) -> Tensor | None:
        real = (steps < lengths.clamp_min(1)[:, None])[:, None, None]  # a text without tokens must not give NaN
        if self.window is not None and self.window < len(steps) - 1:
            return real & ((steps[:, None] - steps).abs() <= self.window)
        on_cpu = lengths.device.type == "cpu"
        return None if on_cpu and bool((lengths == len(steps)).all()) else real


def cut_by_length(lengths: Sequence[int]) -> list[int]:
    """Cut sorted texts into rectangles of least cost: the scores within them, and ``CALL`` for each.

    Args:
        lengths: Of the texts, longest first.

    Returns:
        Where a new rectangle begins, without the first.
    """
    costs, begins = [0.0], [0]
    for end in range(1, len(lengths) + 1):
        options = [(costs[start] + CALL + (end - start) * lengths[start] ** 2, start) for start in range(end)]
        best, start = min(options)
        costs.append(best)
        begins.append(start)
    cuts, end = [], len(lengths)
    while end and begins[end]:
        end = begins[end]
        cuts.append(end)
    return cuts[::-1]
