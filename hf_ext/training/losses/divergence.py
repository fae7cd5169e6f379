"""How far two predictions of the same items lie apart, one number an item."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from hf_ext.models.schema import MULTI_LABEL, REGRESSION


def divergence(p_logits: Tensor, q_logits: Tensor, problem_type: str | None) -> Tensor:
    """Measure how far the prediction q is from p.

    One label: KL(p || q) = sum_c p_c (log p_c - log q_c) with p, q the softmaxes. Several labels: the Bernoulli
    divergences KL(p_c || q_c) of the sigmoids, summed over the labels. Regression: the squared difference, summed over
    the targets. All in float32 at least; gradient flows into both unless the caller detaches one.

    Args:
        p_logits: Logits ``(B, L)`` or ``(B, T, L)``.
        q_logits: Logits of the same shape.
        problem_type: As in a config of transformers; None is one label.

    Returns:
        One value an item, ``(B,)`` or ``(B, T)``.
    """
    p, q = at_least_float32(p_logits), at_least_float32(q_logits)
    if problem_type == REGRESSION:
        return (p - q).square().sum(-1)
    if problem_type == MULTI_LABEL:
        positive = p.sigmoid() * (functional.logsigmoid(p) - functional.logsigmoid(q))
        negative = (-p).sigmoid() * (functional.logsigmoid(-p) - functional.logsigmoid(-q))
        return (positive + negative).sum(-1)
    return (p.softmax(-1) * (p.log_softmax(-1) - q.log_softmax(-1))).sum(-1)


def symmetric_divergence(logits_a: Tensor, logits_b: Tensor, problem_type: str | None) -> Tensor:
    """Give the mean of the divergences both ways, 1/2 (D(a || b) + D(b || a)), one value an item."""
    return (divergence(logits_a, logits_b, problem_type) + divergence(logits_b, logits_a, problem_type)) / 2


def at_least_float32(logits: Tensor) -> Tensor:
    """Give half-precision logits as float32, others as they are."""
    return logits if logits.element_size() >= 4 else logits.float()
