"""The best tag sequences of a linear-chain CRF: Viterbi, and the n best."""

from __future__ import annotations

import torch
from torch import Tensor

from .crf_likelihood import score_paths
from .crf_posterior import Scores
from .crf_words import Words

NO_TAG = -100


@torch.no_grad()
def find_best_paths(scores: Scores, words: Words, *, by_pointers: bool | None = None) -> tuple[Tensor, Tensor]:
    """Find the best tag sequence of each row (Viterbi, 1967; Forney, 1973).

    ``best_t[j] = max_i(best_{t-1}[i] + transitions[i, j]) + emissions[t, j]``, and back along the i that were best.
    A CPU finds maxima much faster than where they are, so it looks for the i only on the way back, for one tag a row.
    CUDA keeps pointers to them, which saves launches.

    Args:
        scores: Scores of float32 or float64.
        words: The words of each row.
        by_pointers: Whether to keep pointers; unset, on everything but a CPU.

    Returns:
        Tags, shape ``(B, T)``, -100 where there is no word, and their scores, shape ``(B,)``, 0 in a row without
        words. Of equally good sequences any one.
    """
    emissions = scores.emissions
    rows, width, num_tags = emissions.shape
    row = torch.arange(rows, device=emissions.device)
    index = words.order.t() + row * width  # (T, B)
    by_rank = emissions.reshape(-1, num_tags).index_select(0, index.flatten()).view(width, rows, num_tags)
    index = (words.behind.t() * rows + row).flatten()
    if emissions.device.type != "cpu" if by_pointers is None else by_pointers:
        path = _follow_pointers(by_rank, scores, index)
    else:
        path = _ask_again(by_rank, scores, index)
    path = words.mirrored(path.t())  # (B, T), by rank
    tags = words.at_positions(path).masked_fill(~words.kept, NO_TAG)
    return tags, score_paths(scores, path, words).to(emissions.dtype)


def _ask_again(emissions: Tensor, scores: Scores, from_right: Tensor) -> Tensor:
    """Find the best path on a CPU.

    Args:
        emissions: By rank, ``(T, B, K)``.
        scores: The scores.
        from_right: Where a row's words stand in ``(T * B)``, the last one first, shape ``(T * B,)``.

    Returns:
        Tags, the last word first, ``(T, B)``.
    """
    width, rows, tags = emissions.shape
    # The tag that is left stands first: the maximum then runs over whole planes, without work across lanes.
    step, ways = scores.transitions.unsqueeze(1), emissions.new_empty(tags, rows, tags)  # (from, 1, to), (from, B, to)
    best, arrived = emissions[0] + scores.start, torch.zeros_like(emissions)
    arrived[0] = scores.start
    leaving = best.t().unsqueeze(2)  # (from, B, 1)
    for maxima, emission in zip(arrived.unbind(0)[1:], emissions.unbind(0)[1:], strict=True):
        torch.add(leaving, step, out=ways)
        torch.amax(ways, 0, out=maxima)
        torch.add(maxima, emission, out=best)
    best_by_word = arrived.add_(emissions).view(-1, tags).index_select(0, from_right).view(width, rows, tags)

    # numpy takes a third of the time for such small steps, and shares the memory.
    path = torch.empty(width, rows, dtype=torch.long)
    chosen, entered = path.numpy(), scores.transitions.t().contiguous().numpy()
    (best_by_word[0] + scores.end).numpy().argmax(1, chosen[0])
    candidates = torch.empty_like(best).numpy()
    for t, before in enumerate(best_by_word.numpy()[1:], start=1):
        entered.take(chosen[t - 1], 0, candidates, "clip")
        candidates += before
        candidates.argmax(1, chosen[t])
    return path


def _follow_pointers(emissions: Tensor, scores: Scores, from_right: Tensor) -> Tensor:
    """Find the best path on a device where each call costs more than its work; arguments as in ``_ask_again``."""
    width, rows, tags = emissions.shape
    step, ways = scores.transitions.unsqueeze(1), emissions.new_empty(tags, rows, tags)  # (from, 1, to), (from, B, to)
    best, pointers = emissions.clone(), emissions.new_zeros(width, rows, tags, dtype=torch.long)
    best[0] += scores.start
    leaving, maxima = best.transpose(1, 2).unsqueeze(3).unbind(0), torch.empty_like(best[0])
    for t, (entering, origin) in enumerate(zip(best.unbind(0), pointers.unbind(0), strict=True)):
        if t > 0:
            torch.add(leaving[t - 1], step, out=ways)
            torch.max(ways, 0, out=(maxima, origin))
            entering.add_(maxima)
    pointers = pointers.view(-1, tags).index_select(0, from_right).view(width, rows, tags)
    path = pointers.new_empty(width, rows, 1)
    path[0] = (best.view(-1, tags).index_select(0, from_right[:rows]) + scores.end).argmax(1, keepdim=True)
    chosen = path.unbind(0)
    for t, origin in enumerate(pointers.unbind(0)[:-1]):
        torch.gather(origin, 1, chosen[t], out=chosen[t + 1])
    return path.squeeze(2)


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
    emissions = scores.emissions
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
