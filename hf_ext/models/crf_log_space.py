"""The recursions of a linear-chain CRF in log space: slower, and right however small a probability is.

For the few rows whose scaled messages underflow, as where every sequence is forced through a transition of -10,000.
Everything here is plain autograd, word by word.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .crf_posterior import Scores
from .crf_words import Words


class LogMessages(NamedTuple):
    """Messages at each word of a row, from left to right without gaps; all of shape ``(B, T, K)``.

    Attributes:
        emissions: The words' own scores.
        forward: Log of the sum over all ways up to a word, its own score included.
        backward: Log of the sum over all ways behind a word; at the last word the end scores.
    """

    emissions: Tensor
    forward: Tensor
    backward: Tensor


def run_log_messages(scores: Scores, words: Words) -> LogMessages:
    """Run both recursions with ``logsumexp``."""
    emissions = scores.emissions.masked_fill(~words.kept.unsqueeze(2), 0.0)
    emissions = emissions.gather(1, words.order.unsqueeze(2).expand_as(emissions))  # (B, T, K), by rank
    forward = [scores.start + emissions[:, 0]]
    for emission in emissions.unbind(1)[1:]:
        forward.append(torch.logsumexp(forward[-1].unsqueeze(2) + scores.transitions, 1) + emission)
    backward = [scores.end.expand_as(emissions[:, 0])]
    for t in range(emissions.shape[1] - 1, 0, -1):
        onward = torch.logsumexp(scores.transitions + (emissions[:, t] + backward[-1]).unsqueeze(1), 2)  # (B, K)
        backward.append(torch.where((words.last >= t).unsqueeze(1), onward, scores.end))
    return LogMessages(emissions, torch.stack(forward, 1), torch.stack(backward[::-1], 1))


def log_partition(messages: LogMessages, words: Words) -> Tensor:
    """Give the log of the sum over all sequences, shape ``(B,)``; 0 in a row without words."""
    total = torch.logsumexp(messages.forward + messages.backward, 2)  # (B, T): the same at every word
    return total.gather(1, words.last.clamp_min(0).unsqueeze(1)).squeeze(1).masked_fill(words.last < 0, 0.0)


def marginals(messages: LogMessages, words: Words) -> Tensor:
    """Give the probability of each tag, ``(B, T, K)``, at the words' own positions; 0 where there is no word."""
    by_rank = torch.softmax(messages.forward + messages.backward, 2)
    found = by_rank.gather(1, words.rank.unsqueeze(2).expand_as(by_rank))
    return found.masked_fill(~words.kept.unsqueeze(2), 0.0)


def conditionals(messages: LogMessages, tags: Tensor, words: Words, *, transitions: Tensor) -> Tensor:
    """Give the probability of each word's tag after its predecessor's tag.

    Args:
        messages: The messages.
        tags: Tag ids, 0 to K - 1 everywhere, shape ``(B, T)``.
        words: The words of each row.
        transitions: Their scores, ``(K, K)``.

    Returns:
        Probabilities, shape ``(B, T)``; only those at words that follow another one mean something.
    """
    arriving = messages.emissions + messages.backward  # (B, T, K), by rank
    arriving = arriving.gather(1, words.rank.unsqueeze(2).expand_as(arriving))
    choices = arriving + transitions[tags.gather(1, words.previous)]  # (B, T, K)
    return torch.softmax(choices, 2).gather(2, tags.unsqueeze(2)).squeeze(2)
