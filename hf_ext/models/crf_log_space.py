"""The recursions of a linear-chain CRF in log space: slower, and right however small a probability is.

For the few rows whose scaled messages underflow, as where every sequence is forced through a transition of -10,000.
Everything here is plain autograd, word by word; tensors go by rank, as in ``Words``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .crf_posterior import Scores, wide_dtype
from .crf_words import Words


class LogMessages(NamedTuple):
    """Messages in ``wide_dtype``, all of shape ``(B, T, K)``.

    Attributes:
        emissions: The words' own scores.
        forward: Log of the sum over all ways up to a word, its own score included.
        backward: Log of the sum over all ways behind a word; at the last word the end scores.
    """

    emissions: Tensor
    forward: Tensor
    backward: Tensor


def take_rows(scores: Scores, words: Words, rows: Tensor) -> tuple[Scores, Words]:
    """Give the scores and words of some rows."""
    return scores._replace(emissions=scores.emissions[rows]), Words(*(part[rows] for part in words))


def run_log_messages(scores: Scores, words: Words) -> LogMessages:
    """Run both recursions with ``logsumexp``."""
    emissions, start, transitions, end = (part.to(wide_dtype(part.device)) for part in scores)
    emissions = emissions.gather(1, words.order.unsqueeze(2).expand_as(emissions))
    forward = [start + emissions[:, 0]]
    for emission in emissions.unbind(1)[1:]:
        forward.append(torch.logsumexp(forward[-1].unsqueeze(2) + transitions, 1) + emission)
    backward = [end.expand_as(emissions[:, 0])]
    for t in range(emissions.shape[1] - 1, 0, -1):
        onward = torch.logsumexp(transitions + (emissions[:, t] + backward[-1]).unsqueeze(1), 2)  # (B, K)
        backward.append(torch.where((words.last >= t).unsqueeze(1), onward, end))
    return LogMessages(emissions, torch.stack(forward, 1), torch.stack(backward[::-1], 1))


def log_partition(messages: LogMessages, words: Words) -> Tensor:
    """Give the log of the sum over all sequences, shape ``(B,)``."""
    total = torch.logsumexp(messages.forward + messages.backward, 2)  # (B, T): the same at every word
    return total.gather(1, words.last.clamp_min(0).unsqueeze(1)).squeeze(1)


def marginals(messages: LogMessages) -> Tensor:
    """Give the probability of each tag, ``(B, T, K)``."""
    return torch.softmax(messages.forward + messages.backward, 2)


def conditionals(messages: LogMessages, tags: Tensor, transitions: Tensor) -> Tensor:
    """Give the probability of each word's tag after its predecessor's tag, ``(B, T - 1)``; tags by rank, ``(B, T)``."""
    arriving = (messages.emissions + messages.backward)[:, 1:]  # (B, T - 1, K)
    choices = torch.softmax(arriving + transitions[tags[:, :-1]].to(arriving.dtype), 2)
    return choices.gather(2, tags[:, 1:].unsqueeze(2)).squeeze(2)
