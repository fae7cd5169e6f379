"""Log-likelihood of tag sequences under a linear-chain CRF, with its gradient in closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .crf_log_space import log_partition, run_log_messages
from .crf_posterior import Posterior, Scores, broken_rows, find_posterior, sum_words, take_rows, widen
from .crf_words import Words


def find_log_likelihood(
    scores: Scores, tags: Tensor, words: Words, *, block: int | None = None, bounded: bool | None = None
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
        block: As in ``find_posterior``.
        bounded: As in ``find_posterior``.

    Returns:
        Log-likelihoods, shape ``(B,)``, 0 in a row without words.
    """
    tags = tags.masked_fill(~words.kept, 0)
    likelihood, reliable = _LogLikelihood.apply(*scores, tags, words, block, bounded)
    if (rows := broken_rows(reliable)) is None:
        return likelihood
    some, their = take_rows(widen(scores), words, rows)
    again = score_paths(some, tags[rows], their) - log_partition(run_log_messages(some, their), their)
    return likelihood.index_copy(0, rows, again.to(likelihood.dtype))


def score_paths(scores: Scores, tags: Tensor, words: Words) -> Tensor:
    """Add up the scores along one tag sequence a row.

    Args:
        scores: The scores.
        tags: Tag ids, 0 to K - 1 at words, anything elsewhere, shape ``(B, T)``.
        words: The words of each row.

    Returns:
        Scores, shape ``(B,)``; 0 in a row without words.
    """
    tags = tags.masked_fill(~words.kept, 0)
    emitted = scores.emissions.gather(2, tags.unsqueeze(2)).squeeze(2)  # (B, T)
    moved = scores.transitions.flatten().index_select(0, _pairs(tags, words, len(scores.start)).flatten())
    along = torch.where(words.kept, emitted, 0.0) + torch.where(words.follows_another, moved.view_as(tags), 0.0)
    first, last = tags.gather(1, words.order[:, :1]), tags.gather(1, words.order[:, -1:])  # (B, 1)
    ends = scores.start.index_select(0, first.squeeze(1)) + scores.end.index_select(0, last.squeeze(1))
    return sum_words(along) + torch.where(words.last >= 0, ends, 0.0)


class _LogLikelihood(Function):
    """``find_log_likelihood``: each row's derivative is there after forward; backward only weighs the rows."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        scores, (tags, words, block, bounded) = Scores(*args[:4]), args[4:]
        posterior = find_posterior(scores, words, block=block, bounded=bounded)
        if any(ctx.needs_input_grad):
            surprises, pairs = _expected_minus_observed(posterior, tags, words)
            broken = ~posterior.reliable.view(-1, 1, 1)  # computed again elsewhere
            surprises, pairs = surprises.masked_fill_(broken, 0.0), pairs.masked_fill_(broken, 0.0)
            ctx.save_for_backward(surprises.to(scores.emissions.dtype), pairs, words.order)
        ctx.mark_non_differentiable(posterior.reliable)
        likelihood = score_paths(posterior.scores, tags, words) - posterior.log_partition
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
    """Count tags ``(B, T, K)`` and pairs of neighbours ``(B, K, K)``; the marginals are overwritten."""
    expected, here = posterior.marginals, tags.unsqueeze(2)
    expected.scatter_(2, here, expected.gather(2, here) - words.kept.unsqueeze(2).to(expected.dtype))
    pairs = torch.bmm(posterior.past.transpose(1, 2), posterior.ahead) * posterior.step  # (B, K, K)
    rows = torch.arange(len(tags), device=tags.device).unsqueeze(1)
    index = rows * pairs.shape[1] ** 2 + _pairs(tags, words, pairs.shape[1])  # (B, T)
    seen = words.follows_another.to(pairs.dtype)
    pairs.view(-1).index_put_((index.flatten(),), -seen.flatten(), accumulate=True)
    return expected, pairs


def _pairs(tags: Tensor, words: Words, num_tags: int) -> Tensor:
    """Number the pair of the previous word's tag and the word's own, shape ``(B, T)``."""
    return tags.gather(1, words.previous) * num_tags + tags
