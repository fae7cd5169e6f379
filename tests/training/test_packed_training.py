"""Training on packed encoders: steps, attacked or not, have the gradient that they have on padded ones."""

from __future__ import annotations

import adversarial_cases as cases
import pytest
import torch
from adversarial_models import build_model

from hf_ext.models.packed_encoder import pack_encoder

TOLERANCE = 1e-12  # relative, in float64
STEPS = 4  # micro-batches of one optimizer step


def build_packed(head, **changes):
    model = build_model(head, **changes)
    model.base_model.set_attn_implementation("sdpa")
    assert pack_encoder(model)
    return model


@pytest.fixture
def packed(monkeypatch):
    monkeypatch.setattr(cases, "build_model", build_packed)


@pytest.mark.parametrize("method", ["fgm", "freelb", "vat", "awp"])
@pytest.mark.parametrize("head", ["stock", "ext", "tagger"])
def test_attacked_steps_have_the_gradient_of_the_reference(head, method, packed):
    assert cases.error_of(cases.step_gradient(head, method, STEPS), head, method, STEPS) <= TOLERANCE


@pytest.mark.parametrize("flags", [{}, {"rdrop_alpha": 1.0}, {"ema_decay": 0.9}], ids=["plain", "rdrop", "ema"])
@pytest.mark.parametrize("head", ["stock", "ext"])
def test_other_steps_have_the_gradient_of_padded_ones(head, flags, monkeypatch):
    expected = cases.step_gradient(head, None, STEPS, **flags)
    monkeypatch.setattr(cases, "build_model", build_packed)
    found = cases.step_gradient(head, None, STEPS, **flags)
    assert cases.relative_error(found, expected) <= TOLERANCE


def test_embeddings_are_made_of_the_padded_batch_so_that_attacks_take_the_norm_of_each_text():
    found = []
    model = build_packed("stock")
    model.get_input_embeddings().register_forward_hook(lambda module, args, output: found.append(output.shape))
    ids = torch.tensor([[5, 6, 7], [8, 0, 0]])
    model(input_ids=ids, attention_mask=(ids > 0).long())
    assert found == [(2, 3, 16)]
