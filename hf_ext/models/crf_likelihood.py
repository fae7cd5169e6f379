"""Log-likelihood of tag sequences under a linear-chain CRF, with its gradient in closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .crf_log_space import log_partition, run_log_messages, take_rows
from .crf_posterior import Posterior, Scores, broken_rows, find_posterior, put_at_positions, wide_dtype
from .crf_words import Words, sum_ranks


def find_log_likelihood(
    scores: Scores, tags: Tensor, words: Words, *, blocked: bool | None = None, bounded: bool | None = None
) -> Tensor:
    """Give the log-probability of one tag sequence a row.

    ``log p(y) = score(y) - log Z`` (Lafferty, McCallum and Pereira, 2001, "Conditional random fields", section 3). The
    gradient is what is observed minus what is expected: ``[y_t = k] - P(y_t = k)`` at an emission, the same for pairs
    at a transition. One run of forward and backward messages holds all of it, so no graph over T is built. Everything
    is computed in float64 and rounded once. First order only. Rows whose messages underflow are computed again in log
    space.

    Args:
        scores: Scores of float32 or float64.
        tags: Tag ids, 0 to K - 1 at words, anything elsewhere, shape ``(B, T)``.
        words: The words of each row.
        blocked: As in ``find_posterior``.
        bounded: As in ``find_posterior``.

    Returns:
        Log-likelihoods, shape ``(B,)``, 0 in a row without words.
    """
    tags = words.at_ranks(tags.masked_fill(~words.kept, 0))
    likelihood, reliable = _LogLikelihood.apply(*scores, tags, words, blocked, bounded)
    if (rows := broken_rows(reliable)) is None:
        return likelihood
    some, their = take_rows(scores, words, rows)
    again = score_paths(some, tags[rows], their) - log_partition(run_log_messages(some, their), their)
    return likelihood.index_copy(0, rows, again.to(likelihood.dtype))


def score_paths(scores: Scores, tags: Tensor, words: Words) -> Tensor:
    """Add up the scores along one tag sequence a row.

    Args:
        scores: The scores.
        tags: Tag ids by rank, from 0 to K - 1 everywhere, shape ``(B, T)``.
        words: The words of each row.

    Returns:
        Scores in ``wide_dtype``, shape ``(B,)``; 0 in a row without words.
    """
    wide, (rows, width), num_tags = wide_dtype(tags.device), tags.shape, len(scores.start)
    emissions = scores.emissions.reshape(rows, width * num_tags)
    emitted = emissions.gather(1, words.order * num_tags + tags)  # (B, T)
    moved = scores.transitions.flatten().index_select(0, _pairs(tags, num_tags).flatten()).view(rows, width - 1)
    arrived = torch.cat([scores.start[tags[:, :1]], moved], 1)
    total = sum_ranks(torch.where(words.filled, emitted.to(wide) + arrived.to(wide), 0.0))
    return torch.where(words.last >= 0, total + scores.end[_last(tags, words)].to(wide), 0.0)


class _LogLikelihood(Function):
    """``find_log_likelihood``; each row's derivative is there after forward, backward only weighs the rows."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        scores, (tags, words, blocked, bounded) = Scores(*args[:4]), args[4:]
        posterior = find_posterior(scores, words, blocked=blocked, bounded=bounded)
        likelihood = score_paths(posterior.scores, tags, words) - posterior.log_partition
        if any(ctx.needs_input_grad):
            surprises, pairs = _expected_minus_observed(posterior, tags, words)
            if (rows := broken_rows(posterior.reliable)) is not None:  # their gradient comes from log space
                surprises.index_fill_(0, rows, 0.0)
                pairs.index_fill_(0, rows, 0.0)
            surprises = put_at_positions(surprises, words, scores.emissions.dtype)
            ctx.save_for_backward(surprises, pairs, words.order)
        ctx.mark_non_differentiable(posterior.reliable)
        return likelihood.to(scores.emissions.dtype), posterior.reliable

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        surprises, pairs, order = ctx.saved_tensors
        weights = -gradients[0].view(-1, 1, 1)  # (B, 1, 1)
        emissions = surprises * weights
        rows = torch.arange(len(order), device=order.device)
        start, end = emissions[rows, order[:, 0]].sum(0), emissions[rows, order[:, -1]].sum(0)
        transitions = (pairs * weights).sum(0).to(surprises.dtype)
        return emissions, start, transitions, end, None, None, None, None


def _expected_minus_observed(posterior: Posterior, tags: Tensor, words: Words) -> tuple[Tensor, Tensor]:
    """Count tags by rank, ``(B, T, K)``, and pairs of neighbours, ``(B, K, K)``; the marginals are overwritten."""
    expected, here = posterior.marginals, tags.unsqueeze(2)
    expected.scatter_(2, here, expected.gather(2, here) - words.filled.unsqueeze(2).to(expected.dtype))

    pairs = torch.bmm(posterior.past[:, :-1].transpose(1, 2), posterior.future[:, 1:]).mul_(posterior.step)
    rows = torch.arange(len(tags), device=tags.device).unsqueeze(1)
    index = rows * pairs.shape[1] ** 2 + _pairs(tags, pairs.shape[1])  # (B, T - 1)
    seen = words.filled[:, 1:].to(pairs.dtype)
    pairs.view(-1).index_put_((index.flatten(),), -seen.flatten(), accumulate=True)
    return expected, pairs.masked_fill_((words.last < 0).view(-1, 1, 1), 0.0)


def _pairs(tags: Tensor, num_tags: int) -> Tensor:
    """Number the pairs of neighbours, ``(B, T) -> (B, T - 1)``."""
    return tags[:, :-1] * num_tags + tags[:, 1:]


def _last(tags: Tensor, words: Words) -> Tensor:
    """Give the tag of each row's last word, ``(B,)``."""
    return tags.gather(1, words.last.clamp_min(0).unsqueeze(1)).squeeze(1)
