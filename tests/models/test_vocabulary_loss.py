"""The cross entropy that writes its gradient over its scores."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hf_ext.models.vocabulary_loss import consuming_cross_entropy


def both(scores, targets, scale=1.0):
    """Give loss and gradient of the reference in float64 and of ours."""
    found = []
    for function, dtype in ((functional.cross_entropy, torch.float64), (consuming_cross_entropy, scores.dtype)):
        leaf = scores.detach().to(dtype).clone().requires_grad_()
        extra = {"reduction": "sum"} if function is functional.cross_entropy else {}
        loss = function(leaf * 1.0, targets, **extra)
        (loss * scale).backward()
        found.append((loss.detach(), leaf.grad))
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("size", [0.0, 1.0, 30.0, 1e4])
def test_loss_and_gradient_are_those_of_the_reference(dtype, tolerance, size):
    generator = torch.Generator().manual_seed(0)
    scores = size * torch.randn(7, 50, generator=generator, dtype=dtype)
    (expected, wanted), (loss, gradient) = both(scores, torch.arange(7) * 7, scale=0.25)
    torch.testing.assert_close(loss.double(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient.double(), wanted, rtol=tolerance, atol=tolerance)


def test_no_row_is_no_loss():
    _, (loss, gradient) = both(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long))
    assert loss == 0
    assert gradient.shape == (0, 5)


def test_scores_that_exclude_a_word_give_no_nan():
    scores = torch.tensor([[0.0, float("-inf"), 1.0], [-1e4, 2.0, -1e4]])
    (expected, wanted), (loss, gradient) = both(scores, torch.tensor([2, 1]))
    torch.testing.assert_close(loss.double(), expected)
    torch.testing.assert_close(gradient.double(), wanted)


def test_the_memory_of_the_scores_holds_the_gradient():
    weights = torch.randn(4, 9, requires_grad=True)
    scores = weights * 2.0
    place = scores.data_ptr()
    loss = consuming_cross_entropy(scores, torch.tensor([0, 1, 2, 3]))
    assert loss.grad_fn.saved_tensors[0].data_ptr() == place


def test_a_second_pass_through_the_same_graph_is_an_error_and_no_wrong_gradient():
    weights = torch.randn(4, 9, requires_grad=True)
    loss = consuming_cross_entropy(weights * 2.0, torch.tensor([0, 1, 2, 3]))
    (2 * loss).backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified"):
        (2 * loss).backward()
