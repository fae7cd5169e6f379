"""The best tag sequences of a linear-chain CRF: Viterbi, and the n best."""

from __future__ import annotations

import torch
from torch import Tensor

from .crf_likelihood import score_paths
from .crf_posterior import Scores, widen
from .crf_words import Words

NO_TAG = -100


@torch.no_grad()
def find_best_paths(scores: Scores, words: Words) -> tuple[Tensor, Tensor]:
    """Find the best tag sequence of each row (Viterbi, 1967; Forney, 1973).

    ``best_t[j] = max_i(best_{t-1}[i] + transitions[i, j]) + emissions[t, j]``. Only the scores are kept on the way;
    which tag was the best predecessor is asked again on the way back, of one tag a row and not of K. Nothing is read
    back from a device.

    Args:
        scores: Scores of float32 or float64.
        words: The words of each row.

    Returns:
        Tags, shape ``(B, T)``, -100 where there is no word, and their scores, shape ``(B,)``, 0 in a row without
        words. Of equally good sequences any one.
    """
    emissions = scores.emissions.masked_fill(~words.kept.unsqueeze(2), 0.0)
    rows, width, num_tags = emissions.shape
    row = torch.arange(rows, device=emissions.device)

    def by_rank(order: Tensor) -> Tensor:
        index = (order.t() + row * width).flatten()
        return emissions.view(-1, num_tags).index_select(0, index).view(width, rows, num_tags)

    best = _run_forward(by_rank(words.order), scores)  # (T, B, K)
    backwards = (words.last.unsqueeze(1) - words.columns).clamp_min(0)  # (B, T): ranks from the right
    index = (backwards.t() * rows + row).flatten()
    best = best.view(-1, num_tags).index_select(0, index).view(width, rows, num_tags)
    tags = _trace_back(best, scores).t().gather(1, words.reversed_rank)
    return tags.masked_fill(~words.kept, NO_TAG), score_paths(widen(scores), tags, words).to(emissions.dtype)


def _run_forward(emissions: Tensor, scores: Scores) -> Tensor:
    """Give the score of the best way to each tag of each word, ``(T, B, K)``."""
    words, rows, tags = emissions.shape
    best = torch.empty_like(emissions)
    torch.add(emissions[0], scores.start, out=best[0])
    # The tag that is left stands first, so that the maximum runs over whole rows and needs no work across lanes.
    step = scores.transitions.unsqueeze(1)  # (from, 1, to)
    ways, arrived = emissions.new_empty(tags, rows, tags), emissions.new_empty(rows, tags)
    leaving, entering = best.transpose(1, 2).unsqueeze(3).unbind(0), best.unbind(0)
    for t, emission in enumerate(emissions.unbind(0)[1:], start=1):
        torch.add(leaving[t - 1], step, out=ways)
        torch.amax(ways, 0, out=arrived)
        torch.add(arrived, emission, out=entering[t])
    return best


def _trace_back(best: Tensor, scores: Scores) -> Tensor:
    """Follow the best predecessors; words are counted from the right, here and in the result, ``(T, B)``."""
    words, rows, tags = best.shape
    path = torch.empty(words, rows, dtype=torch.long, device=best.device)
    chosen = path.unbind(0)
    torch.argmax(best[0] + scores.end, 1, out=chosen[0])
    into, ways = scores.transitions.t().contiguous(), best.new_empty(rows, tags)
    for t, before in enumerate(best.unbind(0)[1:], start=1):
        torch.index_select(into, 0, chosen[t - 1], out=ways)
        torch.argmax(ways.add_(before), 1, out=chosen[t])
    return path


@torch.no_grad()
def find_n_best_paths(scores: Scores, words: Words, n: int) -> tuple[Tensor, Tensor]:
    """Find the n best tag sequences of each row: Viterbi with the n best ways to each tag.

    Args:
        scores: Scores of float32 or float64.
        words: The words of each row.
        n: How many.

    Returns:
        Tags, shape ``(B, n, T)``, best first, and their scores, shape ``(B, n)``. Where a row has fewer sequences,
        -100 and -inf. A row without words has one sequence, the empty one, with score 0.
    """
    emissions = scores.emissions.masked_fill(~words.kept.unsqueeze(2), 0.0)
    rows, width, tags = emissions.shape
    emissions = emissions.gather(1, words.order.unsqueeze(2).expand_as(emissions))  # (B, T, K), by rank
    best = emissions.new_full((rows, n, tags), float("-inf"))
    best[:, 0] = emissions[:, 0] + scores.start
    all_best, origins = [best], [torch.zeros_like(best, dtype=torch.long)]
    for t in range(1, width):
        ways = best.unsqueeze(3) + scores.transitions  # (B, n, from, to)
        best, origin = ways.view(rows, n * tags, tags).topk(n, dim=1)
        best = best + emissions[:, t].unsqueeze(1)
        all_best.append(best)
        origins.append(origin)  # rank * K + from
    row = torch.arange(rows, device=emissions.device)
    at_end = torch.stack(all_best)[words.last.clamp_min(0), row] + scores.end  # (B, n, K)
    found, state = at_end.view(rows, n * tags).topk(n, dim=1)  # (B, n)
    path = [state % tags]
    for t in range(width - 1, 0, -1):  # rows whose last word comes earlier wait
        before = origins[t].view(rows, n * tags).gather(1, state)
        state = torch.where((words.last >= t).unsqueeze(1), before, state)
        path.append(state % tags)
    by_rank = torch.stack(path[::-1], 2)  # (B, n, T)
    return _place(by_rank, found, words)


def _place(by_rank: Tensor, found: Tensor, words: Words) -> tuple[Tensor, Tensor]:
    """Bring tags to their words' positions and mark what does not exist."""
    n = found.shape[1]
    tags = by_rank.gather(2, words.rank.unsqueeze(1).expand_as(by_rank))
    only_first = torch.where(torch.arange(n, device=found.device) == 0, 0.0, float("-inf")).to(found.dtype)
    found = torch.where((words.last >= 0).unsqueeze(1), found, only_first)
    exists = words.kept.unsqueeze(1) & (found > float("-inf")).unsqueeze(2)
    return tags.masked_fill(~exists, NO_TAG), found
