"""Forward and backward recursion of a linear-chain CRF in one loop, in scaled probabilities.

With step weights ``E[i, j] = exp(transitions[i, j])`` and word weights ``p_t[j] = exp(emissions[t, j])``, what reaches
a word from the left is ``a_t = (a_{t-1} * p_{t-1}) E``, and from the right ``b_t = E (b_{t+1} * p_{t+1})``; both are
scaled to sum to 1 now and then (Rabiner, 1989, "A tutorial on hidden Markov models", section V.A). The second is the
first for the reversed sentence and ``E`` transposed, so both run side by side: axis 1 of every array here is the
direction.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCKED_FROM_WORDS = 64  # shorter loops are cheap enough
BLOCKED_UP_TO_TAGS = 64
BLOCKED_UP_TO_BYTES = 2**28  # of the matrices that carry all blocks from end to end


def run_recursions(
    weights: Tensor, first: Tensor, steps: Tensor, *, scale_every: int, block: int = 0, rowwise: bool = False
) -> tuple[Tensor, Tensor]:
    """Run both recursions over all words.

    Args:
        weights: Word weights in the order in which each direction meets them, ``(T, 2, B, K)``.
        first: What the first word is reached with, ``(2, K)``.
        steps: Step weights of each direction, ``(2, K, K)``.
        scale_every: Words after which a message is scaled; in between it shrinks.
        block: Words of a block, a multiple of ``scale_every``; 0 goes word by word. Blocks run at the same time, so
            that T dependent steps become ``2 block + T / block``, for K times the arithmetic.
        rowwise: Multiply so that the bits of a row's result do not depend on its place in the batch; a matrix product
            does not promise that. Slower.

    Returns:
        What reaches each word, without the word's own weight, shape ``(T, 2, B, K)``, and what that was divided by: 1
        but for every ``scale_every``-th word, shape ``(T, 2, B)``.
    """
    words, _, rows, _ = weights.shape
    if block and words > block:
        return _run_blocked(weights, first, steps, scale_every=scale_every, block=block)
    reached = first.unsqueeze(1).expand(2, rows, -1)
    return _run(reached, weights, steps, scale_every=scale_every, rowwise=rowwise)


def block_size(words: int, *, scale_every: int) -> int:
    """Give the words of a block that make the fewest dependent steps, about ``sqrt(T / 2)``."""
    return max(1, round((words / 2) ** 0.5 / scale_every)) * scale_every


def runs_blocked(device: torch.device, rows: int, words: int, tags: int) -> bool:
    """Choose between word by word and blocks.

    A CPU pays for arithmetic and goes word by word. CUDA pays for launches, and runs blocks from 64 words on, up to 64
    tags, and while the matrices of all blocks take no more than 256 MiB.
    """
    blocks = words // block_size(words, scale_every=2)
    small = tags <= BLOCKED_UP_TO_TAGS and 2 * rows * blocks * tags * tags * 8 <= BLOCKED_UP_TO_BYTES
    return device.type == "cuda" and words >= BLOCKED_FROM_WORDS and small


def _run(
    first: Tensor, weights: Tensor, steps: Tensor, *, scale_every: int, rowwise: bool = False
) -> tuple[Tensor, Tensor]:
    """Go word by word from what reaches the first word, ``(2, B, K)``."""
    all_reached, norms = torch.empty_like(weights), torch.ones_like(weights[..., :1])
    all_reached[0] = first
    left = torch.empty_like(weights[0])
    scaled = iter(norms[scale_every - 1 :: scale_every].unbind(0))
    for t, (reached, weight) in enumerate(zip(all_reached.unbind(0), weights.unbind(0), strict=True)):
        if t > 0 and rowwise:
            torch.sum(left.unsqueeze(-1) * steps.unsqueeze(1), 2, out=reached)
        elif t > 0:
            torch.bmm(left, steps, out=reached)  # (2, B, K)
        if (t + 1) % scale_every == 0:
            norm = next(scaled)
            torch.sum(reached, -1, keepdim=True, out=norm)
            reached.div_(norm)
        torch.mul(reached, weight, out=left)
    return all_reached, norms.squeeze(3)


def _run_blocked(
    weights: Tensor, first: Tensor, steps: Tensor, *, scale_every: int, block: int
) -> tuple[Tensor, Tensor]:
    """Cut the words into blocks: carry each block from end to end, chain the blocks, fill them in.

    A block as a whole is a matrix, the product of its steps and word weights. These matrices do not depend on what
    enters a block, so all are built at once; what enters follows in one short loop over the blocks; and then all
    blocks run their recursions at once.
    """
    words, _, rows, tags = weights.shape
    blocks = -(-words // block)
    fill = weights.new_ones(blocks * block - words, 2, rows, tags)
    cut = torch.cat([weights, fill]).view(blocks, block, 2, rows, tags).permute(1, 2, 0, 3, 4)
    cut = cut.reshape(block, 2, blocks * rows, tags)  # (word in its block, direction, block and row, K)
    entering = _chain(first, steps, cut[:, :, : (blocks - 1) * rows], rows=rows)
    reached, norms = _run(entering, cut, steps, scale_every=scale_every)
    reached = reached.view(block, 2, blocks, rows, tags).permute(2, 0, 1, 3, 4).reshape(-1, 2, rows, tags)
    norms = norms.view(block, 2, blocks, rows).permute(2, 0, 1, 3).reshape(-1, 2, rows)
    return reached[:words], norms[:words]


def _chain(first: Tensor, steps: Tensor, cut: Tensor, *, rows: int) -> Tensor:
    """Find what reaches the first word of each block, ``(2, blocks * B, K)``.

    What reaches a block's last word is scaled to sum 1. Here it goes on to the next block first and is divided by its
    sum then; both come out of one product, with the sum as one more column.
    """
    pieces, tags = cut.shape[2:]
    carried = _carry(steps, cut)
    onward = torch.bmm((carried * cut[-1].unsqueeze(2)).view(2, pieces * tags, tags), steps).view_as(carried)
    both = torch.cat([onward, carried.sum(-1, keepdim=True)], -1).view(2, -1, rows, tags, tags + 1)
    reached = [first.unsqueeze(1).expand(2, rows, tags)]
    for block in both.transpose(0, 1).reshape(-1, 2 * rows, tags, tags + 1).unbind(0):
        leaving = torch.bmm(reached[-1].reshape(2 * rows, 1, tags), block).view(2, rows, tags + 1)
        reached.append(leaving[..., :tags] / leaving[..., tags:])
    return torch.cat(reached, 1)


def _carry(steps: Tensor, cut: Tensor) -> Tensor:
    """Multiply each block into one matrix, ``(2, pieces, K, K)``.

    Entry ``[i, j]`` weighs all ways from tag i at the first word to tag j at the last one, without the weight of the
    last; the greatest entry of each matrix is 1.
    """
    length, _, pieces, tags = cut.shape
    matrices = torch.diag_embed(cut[0])
    for t in range(1, length):
        matrices = torch.bmm(matrices.view(2, pieces * tags, tags), steps).view(2, pieces, tags, tags)
        if t < length - 1:
            matrices.mul_(cut[t].unsqueeze(2))
        matrices.div_(matrices.amax((2, 3), keepdim=True))
    return matrices
