"""Log partition and posterior of a linear-chain CRF, from its forward and backward messages."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .crf_recursions import block_size, run_recursions
from .crf_words import Words

GREATEST_GAP = 150.0  # nats; e^-150 four times over is still a normal float64


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
    """The distribution over all tag sequences of each row, seen word by word.

    Attributes:
        log_partition: Log of the sum over all sequences, shape ``(B,)``; 0 in a row without words.
        marginals: Probability of each tag at each word, shape ``(B, T, K)``; 0 where there is no word.
        past: What the ways up to a word weigh, shape ``(B, T, K)``; 0 where no word follows. The probability of tag i
            here and j at the next word is ``past[i] step[i, j] ahead[j]``.
        ahead: What the ways from the next word on weigh, by its tag, shape ``(B, T, K)``.
        onward: The same by the tag here: ``step @ ahead``, shape ``(B, T, K)``.
        step: Weights of the transitions, ``(K, K)``; the greatest is 1.
        reliable: Whether nothing was lost by underflow, bool, shape ``(B,)``; taken for granted of bounded scores.
        scores: What it belongs to, in the precision of the rest; bounded where that was asked for.
    """

    log_partition: Tensor
    marginals: Tensor
    past: Tensor
    ahead: Tensor
    onward: Tensor
    step: Tensor
    reliable: Tensor
    scores: Scores


def widen(scores: Scores) -> Scores:
    """Give the scores in the precision in which messages run: float64, or float32 on a device that has no float64."""
    dtype = torch.float32 if scores.emissions.device.type == "mps" else torch.float64
    return Scores(*(part.to(dtype) for part in scores))


def bound_scores(scores: Scores) -> Scores:
    """Lift every score that is more than 150 below the greatest of its kind and word to 150 below it.

    No message can underflow in float64 then, so no row has to be looked at again. What is lifted had a share of
    ``e^-150`` in anything, unless all sequences of a row are forced through it.
    """
    emissions, start, transitions, end = scores
    return Scores(
        emissions.maximum(emissions.amax(2, keepdim=True) - GREATEST_GAP),
        start.maximum(start.amax() - GREATEST_GAP),
        transitions.maximum(transitions.amax() - GREATEST_GAP),
        end.maximum(end.amax() - GREATEST_GAP),
    )


def find_posterior(scores: Scores, words: Words, *, block: int | None = None, bounded: bool | None = None) -> Posterior:
    """Run both recursions and join, at every word, what comes from the left with what comes from the right.

    Args:
        scores: Of any precision; widened here. What stands at positions that are no words does not matter.
        words: The words of each row.
        block: Words of a block as in ``run_recursions``; unset, ``block_size`` chooses.
        bounded: Whether to ``bound_scores``; unset, on CUDA.

    Returns:
        The posterior. A row is not ``reliable`` where messages come near the end of the range: all ways are forced
        through a step that weighs nothing beside others, or what one direction dropped is what the other one kept.
    """
    rowwise = scores.emissions.dtype == torch.float64  # nothing is rounded off afterwards
    scores = widen(scores)
    bounded = scores.emissions.is_cuda if bounded is None else bounded
    scores = bound_scores(scores) if bounded else scores
    rows, width, tags = scores.emissions.shape
    block = block_size(scores.emissions.device, rows, width, tags) if block is None else block
    emissions = scores.emissions.masked_fill(~words.kept.unsqueeze(2), 0.0)
    peaks = emissions.amax(2, keepdim=True)  # (B, T, 1)
    peak_start, peak_step, peak_end = scores.start.amax(), scores.transitions.amax(), scores.end.amax()
    first = torch.stack([(scores.start - peak_start).exp(), (scores.end - peak_end).exp()])  # (2, K)
    step = (scores.transitions - peak_step).exp()

    row = torch.arange(rows, device=emissions.device)
    order = torch.stack([words.order.t(), words.reversed_order.t()], 1) + row * width  # (T, 2, B)
    weights = (emissions - peaks).exp_().view(-1, tags).index_select(0, order.flatten()).view(width, 2, rows, tags)
    messages = run_recursions(weights, first, torch.stack([step, step.t()]), block=block, rowwise=rowwise)

    def at(values: Tensor, direction: int, rank: Tensor) -> Tensor:
        """Take ``(T, 2, B, K)`` at the word of a rank, ``(B, T, K)``."""
        index = (rank * 2 + direction) * rows + row.unsqueeze(1)
        return values.view(-1, tags).index_select(0, index.flatten()).view(rows, width, tags)

    behind = words.reversed_rank
    past, onward = at(messages.states, 0, words.rank), at(messages.reached, 1, behind)
    ahead = at(messages.states, 1, (behind - 1).clamp_min(0))
    marginals = past * onward
    shares = marginals.sum(2, keepdim=True)  # (B, T, 1)
    marginals.div_(shares).masked_fill_(~words.kept.unsqueeze(2), 0.0)
    past.div_(shares).masked_fill_(~(words.kept & (behind > 0)).unsqueeze(2), 0.0)

    norms = messages.norms[:, 0, :, 0].t()  # (B, T), by rank
    at_end = shares.squeeze(2).gather(1, words.order[:, -1:]).squeeze(1)  # (B,): all ways, through the end scores
    log_partition = sum_words(torch.where(words.filled, norms.log(), 0.0) + peaks.squeeze(2)) + at_end.log()
    log_partition = log_partition + peak_start + peak_end + peak_step * words.last
    reliable = _is_safe(norms, words.filled) & _is_safe(shares.squeeze(2), words.kept)
    return Posterior(
        log_partition.masked_fill(words.last < 0, 0.0),
        marginals,
        past,
        ahead,
        onward,
        step,
        torch.ones_like(words.last, dtype=torch.bool) if bounded else reliable,
        scores,
    )


def broken_rows(reliable: Tensor) -> Tensor | None:
    """Give the numbers of the rows that are not reliable, or nothing where there is none; CUDA is not asked."""
    rows = [] if reliable.is_cuda else [row for row, fine in enumerate(reliable.tolist()) if not fine]
    return torch.tensor(rows, device=reliable.device) if rows else None


def take_rows(scores: Scores, words: Words, rows: Tensor) -> tuple[Scores, Words]:
    """Give the scores and words of some rows."""
    return scores._replace(emissions=scores.emissions[rows]), Words(*(part[rows] for part in words))


def sum_words(values: Tensor) -> Tensor:
    """Add up the columns of ``(B, T)`` in pairs, pairs of pairs and so on, giving ``(B,)``.

    As accurate as a sum can be, and further columns of zeros do not change a bit of it, as they would with
    ``Tensor.sum``, whose order of additions depends on T.
    """
    while values.shape[1] > 1:
        if values.shape[1] % 2:
            values = torch.nn.functional.pad(values, (0, 1))
        values = values[:, 0::2] + values[:, 1::2]
    return values.squeeze(1)


def _is_safe(values: Tensor, counted: Tensor) -> Tensor:
    """Tell which rows keep so far from underflow that what it took away is below rounding; never those with NaN."""
    info = torch.finfo(values.dtype)
    return ((values >= info.tiny / info.eps**2) | ~counted).all(1)
