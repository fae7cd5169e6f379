"""Forward and backward recursion of a linear-chain CRF in one loop, in scaled probabilities.

With step weights ``E[i, j] = exp(transitions[i, j])`` and word weights ``p_t[j] = exp(emissions[t, j])``, both divided by
their greatest values, the forward message is ``alpha_t = (alpha_{t-1} E) * p_t`` and the backward message, with the
emission of its own word in it, is ``beta_t = (E beta_{t+1}) * p_t`` (Rabiner, 1989, "A tutorial on hidden Markov models",
section V.A, equations 90 to 94, for the scaling). The backward recursion is the forward recursion of the reversed
sentence with ``E`` transposed, so both run side by side: axis 1 of every array here is the direction.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BLOCKED_FROM_WORDS = 64  # shorter loops are cheap enough
BLOCKED_UP_TO_TAGS = 64
BLOCKED_UP_TO_BYTES = 2**28  # of the matrices that carry a block from end to end


class Messages(NamedTuple):
    """What has come to each word from the left (direction 0) and from the right (direction 1).

    Attributes:
        reached: Messages before the word's own weight, not scaled to any sum, shape ``(T, 2, B, K)``.
        states: The same times the word's own weight, with sum 1 over K, shape ``(T, 2, B, K)``.
        norms: What they were divided by, shape ``(T, 2, B, 1)``.
    """

    reached: Tensor
    states: Tensor
    norms: Tensor


def run_recursions(weights: Tensor, first: Tensor, steps: Tensor, *, block: int = 0, rowwise: bool = False) -> Messages:
    """Run both recursions over all words.

    Args:
        weights: Word weights in the order in which each direction meets them, ``(T, 2, B, K)``.
        first: What the first word is reached with, ``(2, K)``.
        steps: Step weights of each direction, ``(2, K, K)``.
        block: Words of a block; 0 goes word by word. Blocks run at the same time, so that ``T`` dependent steps
            become ``2 block + T / block``, for K times the arithmetic.
        rowwise: Multiply so that the result of a row has the same bits wherever in the batch it stands; a matrix
            product does not promise that. Slower; of use where results are not rounded afterwards.
    """
    if block and weights.shape[0] > block:
        return _run_blocked(weights, first, steps, block)
    messages = _allocate(weights)
    reached, states, norms = (part.unbind(0) for part in messages)
    reached[0].copy_(first.unsqueeze(1).expand_as(reached[0]))
    for t, weight in enumerate(weights.unbind(0)):
        if t > 0:
            _propagate(states[t - 1], steps, rowwise, out=reached[t])
        _scale(reached[t], weight, states[t], norms[t])
    return messages


def block_size(device: torch.device, rows: int, words: int, tags: int) -> int:
    """Choose how the recursions run on a device: 0 for word by word, or the words of a block.

    A CPU pays for arithmetic and goes word by word. CUDA pays for the number of launches: from 64 words on, up to 64
    tags, and while the matrices of all blocks fit into 256 MiB, blocks of about ``sqrt(T / 2)`` words make the fewest.
    """
    block = max(2, round((words / 2) ** 0.5))
    matrices = 2 * rows * (words // block) * tags * tags * 8  # bytes, float64
    small = tags <= BLOCKED_UP_TO_TAGS and matrices <= BLOCKED_UP_TO_BYTES
    return block if device.type == "cuda" and words >= BLOCKED_FROM_WORDS and small else 0


def _allocate(weights: Tensor) -> Messages:
    return Messages(torch.empty_like(weights), torch.empty_like(weights), torch.empty_like(weights[..., :1]))


def _scale(reached: Tensor, weight: Tensor, state: Tensor, norm: Tensor) -> None:
    """Weigh a message with its word and bring it to sum 1."""
    torch.mul(reached, weight, out=state)
    torch.sum(state, -1, keepdim=True, out=norm)
    state.div_(norm)


def _propagate(states: Tensor, steps: Tensor, rowwise: bool, *, out: Tensor) -> None:
    """Take one step in both directions, ``(2, B, K) x (2, K, K) -> (2, B, K)``."""
    if rowwise:
        torch.sum(states.unsqueeze(-1) * steps.unsqueeze(1), 2, out=out)
    else:
        torch.bmm(states, steps, out=out)


def _run_blocked(weights: Tensor, first: Tensor, steps: Tensor, block: int) -> Messages:
    """Cut the words into blocks: carry each block from end to end, chain the blocks, fill them in.

    A block as a whole is a matrix, the product of its steps and word weights. These matrices do not depend on what
    enters the block, so all are built at once; what enters follows in one short loop over the blocks; and then all
    blocks run their recursion at once.
    """
    words, _, rows, tags = weights.shape
    blocks = -(-words // block)
    fill = weights.new_ones(blocks * block - words, 2, rows, tags)
    cut = torch.cat([weights, fill]).view(blocks, block, 2, rows, tags).permute(1, 2, 0, 3, 4).contiguous()
    cut = cut.view(block, 2, blocks * rows, tags)  # (word in its block, direction, block and row, K)

    entering = _chain(first, steps, _carry(steps, cut[:, :, : (blocks - 1) * rows]), rows)
    messages = _allocate(cut)
    reached, states, norms = (part.unbind(0) for part in messages)
    reached[0].copy_(entering)
    for t, weight in enumerate(cut.unbind(0)):
        if t > 0:
            torch.bmm(states[t - 1], steps, out=reached[t])
        _scale(reached[t], weight, states[t], norms[t])
    return Messages(*(_join(part, blocks, words) for part in messages))


def _carry(steps: Tensor, cut: Tensor) -> Tensor:
    """Multiply each block into one matrix from its first to its last word, ``(2, blocks - 1, B, K, K)``.

    Entry ``[i, j]`` is the weight of all ways that are at tag i before the first word's own weight, and at tag j with
    the last word's weight; scaled by the greatest entry.
    """
    length, _, pieces, tags = cut.shape
    matrices = torch.diag_embed(cut[0])  # (2, pieces, K, K)
    for t in range(1, length):
        product = torch.bmm(matrices.view(2, pieces * tags, tags), steps).view(2, pieces, tags, tags)
        matrices = product.mul_(cut[t].unsqueeze(2))
        matrices.div_(matrices.amax((2, 3), keepdim=True))
    return matrices


def _chain(first: Tensor, steps: Tensor, matrices: Tensor, rows: int) -> Tensor:
    """Find what enters each block, before its first word's own weight, ``(2, blocks * B, K)``."""
    tags = first.shape[-1]
    entering = [first.unsqueeze(1).expand(2, rows, tags)]
    for matrix in matrices.view(2, -1, rows, tags, tags).unbind(1):
        leaving = torch.matmul(entering[-1].unsqueeze(2), matrix).squeeze(2)  # (2, B, K)
        # to sum 1, as the recursion has it: what it passes on must not depend on where blocks begin
        entering.append(torch.bmm(leaving / leaving.sum(-1, keepdim=True), steps))
    return torch.cat(entering, 1)


def _join(part: Tensor, blocks: int, words: int) -> Tensor:
    """Put blocks back in line, ``(block, 2, blocks * B, X) -> (T, 2, B, X)``."""
    block, _, pieces, width = part.shape
    part = part.view(block, 2, blocks, pieces // blocks, width).permute(2, 0, 1, 3, 4)
    return part.reshape(blocks * block, 2, pieces // blocks, width)[:words]
