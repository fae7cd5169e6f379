"""The cross entropy over a vocabulary without the scores of all tokens in memory at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

ROWS_AT_ONCE = {"cpu": 128}  # of scores; accelerators want larger products
MANY_ROWS = 4096


def projected_cross_entropy(states: Tensor, decoder: nn.Module, targets: Tensor) -> Tensor:
    """Sum the cross entropy of the scores ``decoder(states)``, some rows at a time.

    The gradient of ``-log softmax(s)[t]`` is ``softmax(s) - onehot(t)``, known as soon as the loss is, so it is written
    over the scores and taken through the decoder at once: scores of some rows are all that is ever held. (The usual way
    holds three tensors of N rows and V columns, which in a small model outweigh everything else; the idea is that of
    Hsu et al., 2024, "Liger Kernel", arXiv:2410.10989, section 3.2, without its kernels.)

    Where torch compiles, or the decoder is more than a linear layer (LoRA on it), the usual way is taken.

    Args:
        states: Shape ``(N, E)``.
        decoder: Gives scores of shape ``(N, V)``.
        targets: The right columns, shape ``(N,)``, all of them from 0 to V - 1.

    Returns:
        Scalar, in float32 or float64. It can be differentiated once; a second backward pass through the same graph is
        an error.
    """
    if type(decoder) is not nn.Linear or torch.compiler.is_compiling():
        scores = decoder(states)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return functional.cross_entropy(scores, targets, reduction="sum")
    device = states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else decoder.weight.dtype
    inputs = [tensor if tensor is None else tensor.to(dtype) for tensor in (states, decoder.weight, decoder.bias)]
    if not torch.is_grad_enabled():
        inputs = [tensor if tensor is None else tensor.detach() for tensor in inputs]
    with torch.autocast(device, enabled=False):
        return _ProjectedCrossEntropy.apply(*inputs, targets)


class _ProjectedCrossEntropy(torch.autograd.Function):
    """Loss and gradients in the forward pass; the backward pass only scales them."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        inputs = (states, weight, bias)
        gradients = [
            torch.zeros_like(tensor) if tensor is not None and needed else None
            for tensor, needed in zip(inputs, ctx.needs_input_grad[:3], strict=True)
        ]
        of_states, of_weight, of_bias = gradients
        exact = torch.promote_types(states.dtype, torch.float32)
        total = torch.zeros((), dtype=exact, device=states.device)
        for rows in _cut(states):
            scores = functional.linear(states[rows], weight, bias).to(exact)
            loss, of_scores = _loss_and_gradient(scores, targets[rows])
            total += loss
            of_scores = of_scores.to(states.dtype)
            if of_states is not None:
                of_states[rows] = of_scores @ weight
            if of_weight is not None:
                of_weight.addmm_(of_scores.t(), states[rows])
            if of_bias is not None:
                of_bias += of_scores.sum(0)
            del scores, of_scores  # before the next rows take as much
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        return (*(None if gradient is None else gradient.mul_(scale) for gradient in ctx.saved_tensors), None)


def _cut(states: Tensor) -> list[slice]:
    """Cut rows into equal parts; in half precision into one, as sums of several would be rounded."""
    count = len(states)
    most = ROWS_AT_ONCE.get(states.device.type, MANY_ROWS)
    if states.dtype not in (torch.float32, torch.float64):
        most = max(count, 1)
    parts = -(-count // most)
    size = -(-count // max(parts, 1))
    return [slice(i * size, (i + 1) * size) for i in range(parts)]


def _loss_and_gradient(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Give the summed loss and its gradient, which takes the place of the scores."""
    columns = targets.unsqueeze(1)
    highest = scores.amax(1, keepdim=True)
    right = scores.gather(1, columns) - highest
    exponentials = scores.sub_(highest).exp_()
    totals = exponentials.sum(1, keepdim=True)
    losses = totals.log() - right
    softmax = exponentials.div_(totals)
    return losses.sum(), softmax.scatter_add_(1, columns, torch.full_like(right, -1.0))
