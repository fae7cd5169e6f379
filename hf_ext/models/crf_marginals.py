"""Probabilities of tags under a linear-chain CRF: of each by itself, and of each after the one before it."""

from __future__ import annotations

import torch
from torch import Tensor

from .crf_log_space import conditionals as log_conditionals
from .crf_log_space import marginals as log_marginals
from .crf_log_space import run_log_messages, take_rows
from .crf_posterior import Posterior, Scores, broken_rows, find_posterior, is_safe, put_at_positions
from .crf_words import Words


def find_marginals(scores: Scores, words: Words, *, blocked: bool | None = None, bounded: bool | None = None) -> Tensor:
    """Give the probability of each tag at each word, ``(B, T, K)``; 0 where there is no word.

    Args:
        scores: Scores of float32 or float64.
        words: The words of each row.
        blocked: As in ``find_posterior``.
        bounded: As in ``find_posterior``.
    """
    posterior = find_posterior(scores, words, blocked=blocked, bounded=bounded)
    found = posterior.marginals
    if (rows := broken_rows(posterior.reliable)) is not None:
        some, their = take_rows(scores, words, rows)
        found[rows] = log_marginals(run_log_messages(some, their))
    return put_at_positions(found, words, scores.emissions.dtype)


def find_chain_probabilities(scores: Scores, tags: Tensor, words: Words) -> tuple[Tensor, Tensor]:
    """Give the probability of each tag of a sequence, by itself and after its predecessor.

    Args:
        scores: Scores of float32 or float64.
        tags: Tag ids, 0 to K - 1 at words, anything elsewhere, shape ``(B, T)``.
        words: The words of each row.

    Returns:
        Both of shape ``(B, T)``; equal at the first word of a row, 0 where there is no word.
    """
    tags = words.at_ranks(tags.masked_fill(~words.kept, 0))
    posterior = find_posterior(scores, words)
    alone = posterior.marginals.gather(2, tags.unsqueeze(2)).squeeze(2)  # (B, T)
    given, total = _find_conditionals(posterior, tags)  # (B, T - 1)
    reliable = posterior.reliable & is_safe(total, words.filled[:, 1:])  # nothing may lead on from an unlikely tag
    if (rows := broken_rows(reliable)) is not None:
        some, their = take_rows(scores, words, rows)
        messages = run_log_messages(some, their)
        again = log_marginals(messages).gather(2, tags[rows].unsqueeze(2)).squeeze(2)
        alone = alone.index_copy(0, rows, again)
        given = given.index_copy(0, rows, log_conditionals(messages, tags[rows], some.transitions))
    both = (alone, torch.cat([alone[:, :1], given], 1))
    alone, given = (words.at_positions(found).masked_fill(~words.kept, 0.0) for found in both)
    return alone.to(scores.emissions.dtype), given.to(scores.emissions.dtype)


def _find_conditionals(posterior: Posterior, tags: Tensor) -> tuple[Tensor, Tensor]:
    """Weigh each word's tag against all that could stand there after its predecessor's tag; both ``(B, T - 1)``.

    Returns:
        The shares, and what they are shares of.
    """
    choices = posterior.step[tags[:, :-1]] * posterior.future[:, 1:]  # (B, T - 1, K)
    total = choices.sum(2)
    return choices.gather(2, tags[:, 1:].unsqueeze(2)).squeeze(2) / total, total
