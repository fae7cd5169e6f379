"""The cross entropy that takes its gradient through the decoder at once, some rows at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from hf_ext.models import projected_loss
from hf_ext.models.projected_loss import projected_cross_entropy

WORDS, WIDTH = 50, 6


@pytest.fixture(autouse=True)
def three_rows_at_once(monkeypatch):
    monkeypatch.setitem(projected_loss.ROWS_AT_ONCE, "cpu", 3)


def make(rows=8, *, dtype=torch.float64, size=1.0, bias=True):
    """Make states of rows and a decoder whose scores have about the size given."""
    generator = torch.Generator().manual_seed(0)
    decoder = nn.Linear(WIDTH, WORDS, bias=bias, dtype=dtype)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.copy_(size * torch.randn(weight.shape, generator=generator))
    states = torch.randn(rows, WIDTH, generator=generator, dtype=dtype, requires_grad=True)
    return states, decoder, torch.randint(0, WORDS, (rows,), generator=generator)


def loss_and_gradients(function, states, decoder, targets, scale=0.25):
    """Give what a loss function finds: loss, gradient of the states, of the weight, of the bias."""
    weights = [states, *decoder.parameters()]
    loss = function(states * 1.0, decoder, targets)
    return [loss.detach(), *torch.autograd.grad(loss * scale, weights)]


def usual(states, decoder, targets):
    return functional.cross_entropy(decoder(states), targets, reduction="sum")


@pytest.mark.parametrize("rows", [1, 3, 4, 8])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e3])
@pytest.mark.parametrize("bias", [True, False])
def test_loss_and_gradients_are_those_of_the_usual_way(rows, size, bias):
    made = make(rows, size=size, bias=bias)
    expected = loss_and_gradients(usual, *made)
    for found, wanted in zip(loss_and_gradients(projected_cross_entropy, *made), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_single_precision_is_as_exact_as_the_usual_way():
    states, decoder, targets = make(dtype=torch.float32, size=5.0)
    expected = loss_and_gradients(usual, states.detach().double().requires_grad_(), make(size=5.0)[1], targets)
    for found, wanted in zip(
        loss_and_gradients(projected_cross_entropy, states, decoder, targets), expected, strict=True
    ):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_no_row_is_no_loss():
    for found in loss_and_gradients(projected_cross_entropy, *make(0)):
        assert not found.any()


def test_a_word_that_is_excluded_gives_no_nan():
    states, decoder, targets = make()
    with torch.no_grad():
        decoder.bias[WORDS - 1] = float("-inf")
        decoder.bias[0] = -1e4
    targets = targets.clamp(1, WORDS - 2)
    expected = loss_and_gradients(usual, states, decoder, targets)
    for found, wanted in zip(
        loss_and_gradients(projected_cross_entropy, states, decoder, targets), expected, strict=True
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("frozen", ["weight", "bias", "both", "states"])
def test_what_is_frozen_gets_no_gradient_and_the_rest_the_same(frozen):
    states, decoder, targets = make()
    expected = dict(
        zip(("states", "weight", "bias"), loss_and_gradients(usual, states, decoder, targets, 1.0)[1:], strict=True)
    )
    named = {"states": states, "weight": decoder.weight, "bias": decoder.bias}
    out = {"both": ("weight", "bias")}.get(frozen, (frozen,))
    for name in out:
        named[name].requires_grad_(False)
    projected_cross_entropy(states, decoder, targets).backward()
    for name, tensor in named.items():
        if name in out:
            assert tensor.grad is None
        else:
            torch.testing.assert_close(tensor.grad, expected[name])


def test_scores_of_some_rows_are_all_that_is_held(monkeypatch):
    seen = []
    linear = functional.linear
    monkeypatch.setattr(
        projected_loss.functional, "linear", lambda *given: seen.append(len(given[0])) or linear(*given)
    )
    states, decoder, targets = make()
    loss = projected_cross_entropy(states, decoder, targets)
    assert sorted(seen) == [2, 3, 3]
    held = [tuple(tensor.shape) for tensor in loss.grad_fn.saved_tensors]
    assert held == [(8, WIDTH), (WORDS, WIDTH), (WORDS,)]


def test_without_gradient_none_is_computed():
    states, decoder, targets = make()
    with torch.no_grad():
        loss = projected_cross_entropy(states, decoder, targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, usual(states, decoder, targets).detach())


def test_under_autocast_products_are_in_half_precision_and_the_sum_is_not():
    states, decoder, targets = make(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected = loss_and_gradients(usual, states, decoder, targets)
        found = loss_and_gradients(projected_cross_entropy, states, decoder, targets)
    assert [tensor.dtype for tensor in found] == [torch.float32] * 4
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02)


def test_a_second_pass_through_the_same_graph_is_an_error_and_no_wrong_gradient():
    loss = projected_cross_entropy(*make())
    (2 * loss).backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified"):
        (2 * loss).backward()


def test_a_decoder_that_is_more_than_linear_is_called():
    states, decoder, targets = make()
    both = nn.Sequential(decoder, nn.Tanh())
    found = projected_cross_entropy(states, both, targets)
    torch.testing.assert_close(found, usual(states, both, targets))
