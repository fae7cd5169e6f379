"""Each word's tag by itself: the decoder of a tagger without a CRF, with a CRF's methods."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .schema import IGNORED_LABEL


class SoftmaxDecoder(nn.Module):
    """Read each word's tag off its own scores, as a ``LinearChainCRF`` whose transitions are all zero would.

    When: an encoder that sees the whole sentence has little left for a CRF to say; prefer the CRF for models from
    scratch, for schemes with many prefixes, and where illegal sequences hurt.
    """

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor, reduction: str = "sum") -> Tensor:
        """Compute the log-likelihood of tags.

        Args:
            emissions: Scores, shape ``(B, T, K)``.
            tags: Tag ids, -100 for words that do not count, shape ``(B, T)``.
            mask: True for words, shape ``(B, T)``.
            reduction: ``sum`` over all words, or ``none`` for one number a row.

        Returns:
            A scalar, or shape ``(B,)``.

        Raises:
            ValueError: If the reduction is another one.
        """
        if reduction not in ("sum", "none"):
            raise ValueError(f"reduction must be sum or none, got {reduction!r}.")
        tags = tags.masked_fill(~mask, IGNORED_LABEL)
        each = functional.cross_entropy(
            emissions.flatten(0, 1), tags.flatten(), ignore_index=IGNORED_LABEL, reduction="none"
        )
        rows = -each.view_as(tags).sum(1)  # (B,)
        return rows.sum() if reduction == "sum" else rows

    def viterbi_decode(self, emissions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Take the best tag of each word.

        Args:
            emissions: Scores, shape ``(B, T, K)``.
            mask: True for words, shape ``(B, T)``.

        Returns:
            Tags, -100 where there is no word, shape ``(B, T)``, and the sums of their scores, shape ``(B,)``.
        """
        best, tags = emissions.max(-1)
        return tags.masked_fill(~mask, IGNORED_LABEL), best.masked_fill(~mask, 0.0).sum(1)

    def chain_probabilities(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Give the probability of each word's tag, twice: words do not depend on one another here.

        Args:
            emissions: Scores, shape ``(B, T, K)``.
            tags: Tag ids, shape ``(B, T)``.
            mask: True for words, shape ``(B, T)``.

        Returns:
            Probabilities, 0 where there is no word, shape ``(B, T)``; and the same again.
        """
        chosen = tags.clamp_min(0).unsqueeze(-1)
        each = emissions.softmax(-1).gather(-1, chosen).squeeze(-1)  # (B, T)
        each = torch.where(mask, each, 0.0)
        return each, each
