"""Divergences equal those of torch.distributions and stay finite."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence

from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_ext.training.losses.divergence import divergence, symmetric_divergence

TYPES = [SINGLE_LABEL, MULTI_LABEL, REGRESSION, None]


@pytest.fixture(params=[(5, 3), (2, 4, 3)], ids=["rows", "tokens"])
def logits(request):
    generator = torch.Generator().manual_seed(0)
    return [3 * torch.randn(request.param, generator=generator, dtype=torch.float64) for _ in range(2)]


def expected(p, q, problem_type):
    if problem_type == REGRESSION:
        return ((p - q) ** 2).sum(-1)
    if problem_type == MULTI_LABEL:
        return kl_divergence(Bernoulli(logits=p), Bernoulli(logits=q)).sum(-1)
    return kl_divergence(Categorical(logits=p), Categorical(logits=q))


@pytest.mark.parametrize("problem_type", TYPES)
def test_divergence_is_that_of_the_distributions(logits, problem_type):
    p, q = logits
    torch.testing.assert_close(divergence(p, q, problem_type), expected(p, q, problem_type))
    both = (expected(p, q, problem_type) + expected(q, p, problem_type)) / 2
    torch.testing.assert_close(symmetric_divergence(p, q, problem_type), both)


@pytest.mark.parametrize("problem_type", TYPES)
def test_equal_predictions_are_at_distance_zero_with_zero_gradient(logits, problem_type):
    p = logits[0].requires_grad_()
    found = symmetric_divergence(p, p.detach(), problem_type)
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-14)
    (gradient,) = torch.autograd.grad(found.sum(), p)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-14)


@pytest.mark.parametrize("problem_type", TYPES)
def test_certain_predictions_and_half_precision_stay_finite(problem_type):
    p = torch.tensor([[100.0, -100.0, 0.0]], requires_grad=True)
    q = torch.tensor([[-100.0, 100.0, 0.0]], requires_grad=True)
    found = symmetric_divergence(p, q, problem_type)
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(found.sum(), (p, q)))
    assert divergence(p.bfloat16(), q.bfloat16(), problem_type).dtype == torch.float32
