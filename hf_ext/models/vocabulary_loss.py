"""The cross entropy over a vocabulary in the memory of its scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def consuming_cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Sum the cross entropy of rows of scores, which are gone afterwards: their memory holds the gradient.

    The gradient of ``-log softmax(s)[t]`` is ``softmax(s) - onehot(t)``, known as soon as the loss is. The usual
    function keeps the logarithms for the backward pass and then makes two more tensors as large; for N masked tokens
    and V words each of them is the largest tensor of a small model. Where torch compiles, it is left the usual one.

    Args:
        scores: Shape ``(N, V)``, float32 or float64, read by nothing else; overwritten.
        targets: The right columns, shape ``(N,)``, all of them from 0 to V - 1.

    Returns:
        Scalar. It can be differentiated once; a second backward pass through the same graph is an error.
    """
    if torch.compiler.is_compiling():
        return functional.cross_entropy(scores, targets, reduction="sum")
    return _ConsumingCrossEntropy.apply(scores, targets)


class _ConsumingCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, targets: Tensor) -> Tensor:
        columns = targets.unsqueeze(1)
        highest = scores.amax(1, keepdim=True)
        right = scores.gather(1, columns) - highest
        exponentials = scores.sub_(highest).exp_()
        totals = exponentials.sum(1, keepdim=True)
        losses = totals.log() - right
        softmax = exponentials.div_(totals)
        gradient = softmax.scatter_add_(1, columns, torch.full_like(right, -1.0))
        ctx.save_for_backward(gradient)
        return losses.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(scale), None
