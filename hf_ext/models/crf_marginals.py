"""Probabilities of tags under a linear-chain CRF: of each by itself, and of each after the one before it."""

from __future__ import annotations

import torch
from torch import Tensor

from . import crf_log_space as log_space
from .crf_posterior import Posterior, Scores, broken_rows, find_posterior, take_rows
from .crf_words import Words


def find_marginals(scores: Scores, words: Words) -> Tensor:
    """Give the probability of each tag at each word, ``(B, T, K)``; 0 where there is no word."""
    posterior = find_posterior(scores, words)
    found = posterior.marginals
    if (rows := broken_rows(posterior.reliable)) is not None:
        some, their = take_rows(posterior.scores, words, rows)
        found = found.index_copy(0, rows, log_space.marginals(log_space.run_log_messages(some, their), their))
    return found.to(scores.emissions.dtype)


def find_chain_probabilities(scores: Scores, tags: Tensor, words: Words) -> tuple[Tensor, Tensor]:
    """Give the probability of each tag of a sequence, by itself and after its predecessor.

    Args:
        scores: The scores.
        tags: Tag ids, 0 to K - 1 at words, anything elsewhere, shape ``(B, T)``.
        words: The words of each row.

    Returns:
        Both of shape ``(B, T)``; equal at the first word of a row, 0 where there is no word.
    """
    tags = tags.masked_fill(~words.kept, 0)
    posterior = find_posterior(scores, words)
    alone, given = _pick(posterior.marginals, tags), _find_conditionals(posterior, tags, words)
    if (rows := broken_rows(posterior.reliable)) is not None:
        some, their = take_rows(posterior.scores, words, rows)
        messages = log_space.run_log_messages(some, their)
        alone = alone.index_copy(0, rows, _pick(log_space.marginals(messages, their), tags[rows]))
        again = log_space.conditionals(messages, tags[rows], their, transitions=some.transitions)
        given = given.index_copy(0, rows, again)
    given = torch.where(words.follows_another, given, alone)
    return alone.to(scores.emissions.dtype), given.to(scores.emissions.dtype)


def _find_conditionals(posterior: Posterior, tags: Tensor, words: Words) -> Tensor:
    """Give ``step[i, j] ahead[j] / onward[i]`` for each word's tag j and its predecessor's tag i, ``(B, T)``.

    0 where no way leads on from tag i; without meaning at words that follow no other.
    """
    rows, _, num_tags = posterior.marginals.shape
    before = tags.gather(1, words.previous)
    at_previous = words.previous * num_tags  # into (B, T * K)
    ahead = posterior.ahead.view(rows, -1).gather(1, at_previous + tags)
    onward = posterior.onward.view(rows, -1).gather(1, at_previous + before)
    weight = posterior.step.flatten().index_select(0, (before * num_tags + tags).flatten()).view_as(tags) * ahead
    return torch.where(onward > 0, weight / onward, 0.0)


def _pick(values: Tensor, tags: Tensor) -> Tensor:
    """Take the value of each word's tag, ``(B, T, K) -> (B, T)``."""
    return values.gather(2, tags.unsqueeze(2)).squeeze(2)
