"""Log partition and posterior of a linear-chain CRF, from its forward and backward messages."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .crf_recursions import block_size, run_recursions, runs_blocked
from .crf_words import Words, sum_ranks

GREATEST_GAP = 120.0  # nats; the least that messages make of it is e^-600, a normal float64


class Scores(NamedTuple):
    """The scores of a batch, all in one precision on one device.

    Attributes:
        emissions: Shape ``(B, T, K)``.
        start: Score of each tag at the first word, shape ``(K,)``.
        transitions: Score of tag j after tag i at ``[i, j]``, shape ``(K, K)``.
        end: Score of each tag at the last word, shape ``(K,)``.
    """

    emissions: Tensor
    start: Tensor
    transitions: Tensor
    end: Tensor


class Posterior(NamedTuple):
    """The distribution over all tag sequences of each row; axis 1 is the rank of a word, as in ``Words``.

    Attributes:
        log_partition: Log of the sum over all sequences, shape ``(B,)``; 0 in a row without words.
        marginals: Probability of each tag at each word, shape ``(B, T, K)``; 0 behind the last word.
        past: What the ways up to a word weigh, its own weight included, shape ``(B, T, K)``; 0 where no word follows.
        future: What the ways from a word on weigh, its own weight included, shape ``(B, T, K)``. The probability of
            tags i and j at ranks t and t + 1 is ``past[:, t, i] * step[i, j] * future[:, t + 1, j]``.
        step: Weights of the transitions, ``(K, K)``; the greatest is 1.
        reliable: Whether nothing was lost by underflow, bool, shape ``(B,)``; always so for bounded scores.
        scores: What all this belongs to.
    """

    log_partition: Tensor
    marginals: Tensor
    past: Tensor
    future: Tensor
    step: Tensor
    reliable: Tensor
    scores: Scores


@torch.no_grad()
def find_posterior(
    scores: Scores, words: Words, *, blocked: bool | None = None, bounded: bool | None = None
) -> Posterior:
    """Run both recursions and join, at every word, what comes from the left with what comes from the right.

    Args:
        scores: Scores of float32 or float64. What stands at positions that are no words does not matter.
        words: The words of each row.
        blocked: Whether the recursions run in blocks; unset, ``runs_blocked`` chooses.
        bounded: Whether to ``bound_scores``; unset, on CUDA.

    Returns:
        The posterior, in ``wide_dtype``. A row is not ``reliable`` where messages come near the end of the range:
        every way is forced through a step that weighs nothing beside others, or what one direction dropped is what
        the other one kept.
    """
    device, (rows, width, tags) = scores.emissions.device, scores.emissions.shape
    bounded = device.type == "cuda" if bounded is None else bounded
    blocked = runs_blocked(device, rows, width, tags) if blocked is None else blocked
    scores = bound_scores(scores) if bounded else scores
    weights, peaks = _weigh(scores, words)
    start, step, end = (part.to(weights.dtype) for part in scores[1:])
    peak_start, peak_step, peak_end = start.amax(), step.amax(), end.amax()
    step = (step - peak_step).exp()
    scale_every = 2 if bounded else 4  # see bound_scores; if scores are not bounded, rows are looked after
    reached, norms = run_recursions(
        weights,
        torch.stack([(start - peak_start).exp(), (end - peak_end).exp()]),
        torch.stack([step, step.t()]),
        scale_every=scale_every,
        block=block_size(width, scale_every=scale_every) if blocked else 0,
        rowwise=scores.emissions.dtype == weights.dtype,  # nothing is rounded off afterwards
    )
    weights = weights[:, 0].transpose(0, 1)  # (B, T, K), by rank
    past = torch.mul(reached[:, 0].transpose(0, 1), weights, out=weights.new_empty(weights.shape))
    future = _from_left(reached, words)  # the weight of the word itself must not come in twice
    joined = past * future
    shares = joined.sum(2)  # (B, T)
    parts = torch.where(words.filled, shares.reciprocal(), 0.0)
    unscaled = parts / words.mirrored(norms[:, 1].t())  # to meet the next word's future before it is scaled
    onward = torch.where(words.behind > 0, unscaled, 0.0)

    norms = norms[:, 0].t()  # (B, T)
    at_end = shares.gather(1, words.last.clamp_min(0).unsqueeze(1)).squeeze(1)  # (B,): all ways to the end
    by_word = sum_ranks(torch.where(words.filled, norms.log() + peaks, 0.0))
    log_partition = by_word + at_end.log() + peak_start + peak_end + peak_step * words.last
    reliable = is_safe(norms, words.filled) & is_safe(shares, words.filled)
    return Posterior(
        log_partition.masked_fill(words.last < 0, 0.0),
        joined.mul_(parts.unsqueeze(2)),
        past.mul_(onward.unsqueeze(2)),
        future.mul_(weights),
        step,
        torch.ones_like(reliable) if bounded else reliable,
        scores,
    )


def bound_scores(scores: Scores) -> Scores:
    """Lift every score that is more than 120 below the greatest of its kind and word to 120 below it.

    Nothing can underflow in float64 then, so no row has to be looked at again: between two scalings a message passes
    two words and two transitions at most, and where both directions meet, five such gaps come together. What is lifted
    had a share of ``e^-120`` in anything, unless all sequences of a row are forced through it.
    """
    emissions, start, transitions, end = scores
    return Scores(
        emissions.maximum(emissions.amax(2, keepdim=True) - GREATEST_GAP),
        start.maximum(start.amax() - GREATEST_GAP),
        transitions.maximum(transitions.amax() - GREATEST_GAP),
        end.maximum(end.amax() - GREATEST_GAP),
    )


def wide_dtype(device: torch.device) -> torch.dtype:
    """Give the precision that messages and sums run in: float64, or float32 on a device that has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def put_at_positions(values: Tensor, words: Words, dtype: torch.dtype) -> Tensor:
    """Bring ``(B, T, K)`` from ranks to the words' positions, in some dtype; zeros elsewhere."""
    rows, width, tags = values.shape
    extended = values.new_empty(rows * width + 1, tags, dtype=dtype)
    extended[:-1], extended[-1] = values.view(-1, tags), 0.0
    row = torch.arange(rows, device=values.device).unsqueeze(1)
    index = torch.where(words.kept, row * width + words.rank, rows * width)  # (B, T)
    return extended.index_select(0, index.flatten()).view(rows, width, tags)


def is_safe(values: Tensor, counted: Tensor) -> Tensor:
    """Tell which rows of ``(B, T)`` stay so far from underflow that what it took is below rounding; none with NaN."""
    info = torch.finfo(values.dtype)
    return ((values >= info.tiny / info.eps**2) | ~counted).all(1)


def broken_rows(reliable: Tensor) -> Tensor | None:
    """Give the numbers of the rows that are not reliable, or nothing where all are; CUDA is not asked."""
    rows = [] if reliable.is_cuda else [row for row, fine in enumerate(reliable.tolist()) if not fine]
    return torch.tensor(rows, device=reliable.device) if rows else None


def _weigh(scores: Scores, words: Words) -> tuple[Tensor, Tensor]:
    """Give the words' weights as both directions meet them, ``(T, 2, B, K)``, and the logs of the greatest, ``(B, T)``.

    The weights of each word are divided by the greatest one.
    """
    rows, width, tags = scores.emissions.shape
    peaks = scores.emissions.amax(2).to(wide_dtype(scores.emissions.device))  # (B, T)
    weights = (scores.emissions.to(peaks.dtype) - peaks.unsqueeze(2)).exp_().view(-1, tags)
    first = torch.arange(rows, device=weights.device) * width
    backwards = words.mirrored(words.order)
    order = torch.stack([words.order.t(), backwards.t()], 1) + first  # (T, 2, B)
    return weights.index_select(0, order.flatten()).view(width, 2, rows, tags), words.at_ranks(peaks)


def _from_left(reached: Tensor, words: Words) -> Tensor:
    """Give what direction 1 brought, by rank, ``(T, 2, B, K) -> (B, T, K)``."""
    width, _, rows, tags = reached.shape
    index = (words.behind * 2 + 1) * rows + torch.arange(rows, device=reached.device).unsqueeze(1)  # (B, T)
    return reached.view(-1, tags).index_select(0, index.flatten()).view(rows, width, tags)
