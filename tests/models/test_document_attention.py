"""Which families keep the documents of a row apart, and that asking leaves no trace."""

from __future__ import annotations

import pytest
import torch
from model_factories import FAMILY_SETTINGS, encoder_config
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining

from hf_ext.models.document_attention import isolates_documents, window_local_layers
from hf_ext.models.masked_head import project_masked_only

ISOLATING = ("bert", "roberta", "electra", "albert", "ernie", "distilbert")
WINDOW = 8  # tokens that a local layer of the tiny ModernBERT sees on either side


def make(family: str, model_class=AutoModelForMaskedLM, **settings):
    torch.manual_seed(0)
    sizes = FAMILY_SETTINGS["bert" if family == "ernie" else family]
    return model_class.from_config(AutoConfig.for_model(family, **sizes), **settings)


def make_modernbert(**settings):
    torch.manual_seed(0)
    config = encoder_config("modernbert")
    config.local_attention = 2 * WINDOW
    config.layer_types = ["full_attention", "sliding_attention"]
    return AutoModelForMaskedLM.from_config(config, **settings)


@pytest.mark.parametrize("family", ISOLATING)
def test_these_families_keep_documents_apart(family):
    assert isolates_documents(make(family))


@pytest.mark.parametrize("family", ["bert", "albert", "ernie"])
def test_so_do_their_models_for_sentence_pairs(family):
    assert isolates_documents(make(family, AutoModelForPreTraining))


@pytest.mark.parametrize("family", ISOLATING)
def test_so_do_models_that_project_masked_positions_only(family):
    model = make(family)
    assert project_masked_only(model)
    assert isolates_documents(model)


def test_deberta_and_xlnet_do_not():
    assert not isolates_documents(make("deberta-v2"))  # takes the mask for one of tokens
    assert not isolates_documents(make("xlnet", AutoModel))  # knows no positions to begin anew


def test_attention_that_adds_the_mask_does_not():
    assert not isolates_documents(make("bert", attn_implementation="eager"))


def test_modernbert_does_once_its_local_layers_keep_their_window():
    model = make_modernbert()
    assert not isolates_documents(model)
    assert window_local_layers(model)
    assert isolates_documents(model)


def test_no_other_family_has_local_layers():
    model = make("bert")
    assert not window_local_layers(model)
    assert not model.base_model._forward_pre_hooks


def test_windowing_changes_nothing_where_documents_are_not_apart():
    model = make_modernbert().eval()
    ids = torch.randint(5, 40, (2, 30))
    mask = (torch.arange(30) < torch.tensor([[30], [21]])).long()
    before = model(input_ids=ids, attention_mask=mask).logits
    window_local_layers(model)
    assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, before)


def test_a_model_that_sees_across_documents_is_found_out():
    model = make("bert")

    class Leaking(nn.Module):  # every token gets a little of the first one
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, hidden_states, *args, **kwargs):
            return self.layer(hidden_states, *args, **kwargs) + 1e-3 * hidden_states[:, :1]

    model.bert.encoder.layer[1] = Leaking(model.bert.encoder.layer[1])
    assert not isolates_documents(model)


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_asking_leaves_mode_random_numbers_and_gradients_as_they_were(family):
    model = make(family).train()
    model.base_model.eval()
    state = torch.get_rng_state()
    isolates_documents(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert not model.base_model.training
    assert torch.is_grad_enabled()
    assert not any(module._forward_hooks for module in model.modules())
    assert all(weight.grad is None for weight in model.parameters())


def test_a_model_in_half_precision_is_tried_in_single_precision():
    model = make("bert").bfloat16()
    assert isolates_documents(model)
    assert model.dtype is torch.bfloat16
