from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from hf_ext.models.fusion import FUSIONS, Fusion, build_fusion

TEXT, TABLE, ROWS = 6, 4, 5


@pytest.fixture(params=FUSIONS)
def name(request) -> str:
    return request.param


@pytest.fixture
def fusion(name) -> Fusion:
    torch.manual_seed(0)
    return build_fusion(name, text_size=TEXT, table_size=TABLE).double()


@pytest.fixture
def text() -> Tensor:
    return torch.randn(ROWS, TEXT, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def table() -> Tensor:
    return torch.randn(ROWS, TABLE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


# --- oracles: the formula of the docstring, one row and one feature at a time --------------------------------------


def affine(layer: torch.nn.Linear, vector: list[float]) -> list[float]:
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [sum(w * v for w, v in zip(row, vector, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def gated_reference(fusion, x: list[float], c: list[float]) -> list[float]:
    hidden = [max(0.0, value) for value in affine(fusion.shift[0], c)]
    shift = affine(fusion.shift[2], hidden)
    gate = [1 / (1 + math.exp(-value)) for value in affine(fusion.gate, x + c)]
    return [a + g * h for a, g, h in zip(x, gate, shift, strict=True)]


def attention_reference(fusion, x: list[float], c: list[float]) -> list[float]:
    modes = [affine(fusion.text, x), affine(fusion.table, c)]
    query = affine(fusion.query, x)
    scores = [math.exp(sum(q * m for q, m in zip(query, mode, strict=True)) / math.sqrt(len(x))) for mode in modes]
    return [(scores[0] * a + scores[1] * b) / sum(scores) for a, b in zip(*modes, strict=True)]


REFERENCES = {
    "concat": lambda fusion, x, c: x + c,
    "gated": gated_reference,
    "attention": attention_reference,
}


def test_fusion_equals_its_formula(fusion, name, text, table):
    expected = [REFERENCES[name](fusion, x, c) for x, c in zip(text.tolist(), table.tolist(), strict=True)]
    torch.testing.assert_close(fusion(text, table), torch.tensor(expected, dtype=torch.float64))


# --- the contract of the family ------------------------------------------------------------------------------------


def test_output_has_the_promised_width(fusion, text, table):
    assert fusion(text, table).shape == (ROWS, fusion.output_size)


def test_rows_do_not_depend_on_their_neighbours(fusion, text, table):
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(fusion(text[order], table[order]), fusion(text, table)[order])


def test_one_row_works_in_training(fusion, text, table):
    assert fusion.train()(text[:1], table[:1]).isfinite().all()


def test_gradient_reaches_text_table_and_every_parameter(fusion, text, table):
    fusion(text.requires_grad_(), table.requires_grad_()).square().sum().backward()
    for tensor in (text, table, *fusion.parameters()):
        assert tensor.grad.abs().sum() > 0


def test_both_sides_matter(fusion, text, table):
    joined = fusion(text, table)
    assert not torch.allclose(fusion(text + 1, table), joined)
    assert not torch.allclose(fusion(text, table + 1), joined)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_table_follows_the_dtype_of_the_text(fusion, text, table, dtype):
    reduced = copy.deepcopy(fusion).to(dtype)
    joined = reduced(text.to(dtype), table.float())
    assert joined.dtype is dtype
    torch.testing.assert_close(joined.double(), fusion(text, table), atol=0.05, rtol=0.05)


def test_autocast_stays_near_full_precision(fusion, text, table):
    fusion = fusion.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        joined = fusion(text.bfloat16(), table.float())
    torch.testing.assert_close(joined.float(), fusion(text.float(), table.float()), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("scale", [1e4, 1e8])
def test_large_cells_stay_finite(fusion, text, table, scale):
    joined = fusion.float()(text.float(), table.float() * scale)
    assert joined.isfinite().all()


# --- members -------------------------------------------------------------------------------------------------------


def test_closed_gate_leaves_the_text_alone(text, table):
    fusion = build_fusion("gated", text_size=TEXT, table_size=TABLE).double()
    with torch.no_grad():
        fusion.gate.bias.fill_(-1e6)
    assert torch.equal(fusion(text, table), text)


def test_attention_stays_between_its_two_vectors(text, table):
    fusion = build_fusion("attention", text_size=TEXT, table_size=TABLE).double()
    low = torch.minimum(fusion.text(text), fusion.table(table))
    high = torch.maximum(fusion.text(text), fusion.table(table))
    joined = fusion(text, table)
    assert (joined >= low - 1e-12).all()
    assert (joined <= high + 1e-12).all()


def test_concat_has_no_weights():
    assert not list(build_fusion("concat", text_size=TEXT, table_size=TABLE).parameters())


def test_every_fusion_has_a_reference():
    assert set(REFERENCES) == set(FUSIONS)


def test_unknown_fusion_lists_the_legal_ones():
    with pytest.raises(ValueError, match="unknown fusion 'sum'; choose one of concat, gated, attention"):
        build_fusion("sum", text_size=TEXT, table_size=TABLE)
