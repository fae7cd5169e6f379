"""Attention in one row: each text as if it were alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask

from hf_ext.models import packed_attention, token_layout
from hf_ext.models.packed_attention import PACKED
from hf_ext.models.packed_attention import packed_attention as attend
from hf_ext.models.token_layout import TokenLayout

LENGTHS = (5, 1, 3, 5, 2)
TOKENS = 16
HEADS, SIZE, SCALING = 2, 8, 0.3


def make_layout(window=None, lengths=LENGTHS):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return TokenLayout(mask, mask.reshape(-1).nonzero().squeeze(1), window)


def make_states(tokens=TOKENS, dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(3, 1, HEADS, tokens, SIZE, generator=draw, dtype=dtype).unbind()


def one_by_one(query, key, value, lengths=LENGTHS, window=None):
    """Attend to each text by the formula: softmax of the scaled products, times the values."""
    mixed, start = [], 0
    for length in lengths:
        q, k, v = (states[0, :, start : start + length] for states in (query, key, value))
        scores = q @ k.transpose(1, 2) * SCALING
        steps = torch.arange(length)
        far = (steps[:, None] - steps).abs() > (length if window is None else window)
        mixed.append(scores.masked_fill(far, -torch.inf).softmax(-1) @ v)
        start += length
    return torch.cat(mixed, dim=1).transpose(0, 1)[None]


@pytest.mark.parametrize("call", [0, token_layout.CALL])
@pytest.mark.parametrize("window", [None, 0, 2])
def test_each_text_attends_to_itself_alone(window, call, monkeypatch):
    monkeypatch.setattr(token_layout, "CALL", call)
    states = make_states()
    found, weights = attend(nn.Identity(), *states, make_layout(window), scaling=SCALING)
    torch.testing.assert_close(found, one_by_one(*states, window=window), rtol=0, atol=1e-14)
    assert weights is None


def test_gradients_are_those_of_the_formula():
    states = [each.requires_grad_() for each in make_states()]
    wanted = torch.randn(1, TOKENS, HEADS, SIZE, dtype=torch.float64)
    found = torch.autograd.grad(
        (attend(nn.Identity(), *states, make_layout(), scaling=SCALING)[0] * wanted).sum(), states
    )
    expected = torch.autograd.grad((one_by_one(*states) * wanted).sum(), states)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_a_text_without_tokens_gives_no_nan_in_the_gradient(monkeypatch):
    monkeypatch.setattr(TokenLayout, "_groups", lambda layout: [(slice(None), layout.shape[1])])  # as on a GPU
    lengths = (3, 0, 2)
    states = [each.requires_grad_() for each in make_states(tokens=5)]
    found, _ = attend(nn.Identity(), *states, make_layout(lengths=lengths), scaling=SCALING)
    torch.testing.assert_close(found, one_by_one(*states, lengths=(3, 2)))
    found.sum().backward()
    assert all(each.grad.isfinite().all() for each in states)


def test_dropout_drops_weights():
    torch.manual_seed(0)
    query, key, _ = make_states()
    ones = torch.ones(1, HEADS, TOKENS, SIZE, dtype=torch.float64)
    found, _ = attend(nn.Identity(), query, key, ones, make_layout(), dropout=0.5, scaling=SCALING)
    assert found.max() > 1.01  # weights of a row no longer add up to one
    assert found.min() < 0.99


@pytest.mark.parametrize(("window", "sides"), [(None, (-1, -1)), (2, (2, 2))])
def test_flash_attention_gets_the_row_and_its_boundaries(window, sides, monkeypatch):
    asked = {}

    def varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size):
        asked.update(bounds=(cu_seq_q.tolist(), cu_seq_k.tolist()), most=(max_q, max_k), window=window_size)
        rows = [states.transpose(0, 1)[None] for states in (query, key, value)]
        return one_by_one(*rows, window=window)[0]

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn)
    monkeypatch.setattr(packed_attention, "_takes_rows", lambda query: True)
    states = make_states()
    found, _ = attend(nn.Identity(), *states, make_layout(window), scaling=SCALING)
    torch.testing.assert_close(found, one_by_one(*states, window=window))
    assert asked == {"bounds": ([0, 5, 6, 9, 14, 16],) * 2, "most": (5, 5), "window": sides}
    assert attend(nn.Identity(), *states, make_layout(window), dropout=0.1, scaling=SCALING)[0].shape == found.shape


def test_flash_attention_is_for_half_precision_on_cuda():
    assert not packed_attention._takes_rows(torch.zeros(1, 2, 3, 8, dtype=torch.bfloat16))  # on a CPU


def test_any_other_mask_is_left_to_sdpa():
    states = make_states()
    far = torch.rand(1, 1, TOKENS, TOKENS, generator=torch.Generator().manual_seed(1)) > 0.3
    found, _ = attend(nn.Identity(), *states, far, scaling=SCALING, is_causal=False)
    expected = functional.scaled_dot_product_attention(*states, attn_mask=far, scale=SCALING).transpose(1, 2)
    torch.testing.assert_close(found, expected)


# --- what stands for a mask -------------------------------------------------------------------------------------------


def make_mask(attention_mask, create=create_bidirectional_mask, **given):
    config = BertConfig(attn_implementation="sdpa")
    config._attn_implementation = PACKED
    return create(config=config, inputs_embeds=torch.zeros(2, 3, 4), attention_mask=attention_mask, **given)


def test_padding_is_described_by_a_layout():
    layout = make_mask(torch.tensor([[1, 1, 1], [1, 0, 0]]))
    assert isinstance(layout, TokenLayout)
    assert layout.places.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("mask", [None, torch.ones(2, 3)])
def test_without_padding_there_is_no_mask(mask):
    assert make_mask(mask) is None


def test_a_mask_of_pairs_of_tokens_stays():
    pairs = torch.ones(2, 1, 3, 3).bool()
    assert make_mask(pairs) is pairs


def test_decoders_get_the_mask_that_they_always_get():
    padding = torch.tensor([[1, 1, 1], [1, 0, 0]])
    found = make_mask(padding, create_causal_mask, past_key_values=None)
    assert torch.equal(found, padding.bool()[:, None, None] & torch.ones(3, 3).tril().bool())


def test_queries_that_see_more_than_their_text_get_a_mask():
    found = make_mask(torch.tensor([[1, 1, 1], [1, 0, 0]]), and_mask_function=lambda b, h, query, key: query != key)
    assert isinstance(found, torch.Tensor)
    assert found.shape == (2, 1, 3, 3)
