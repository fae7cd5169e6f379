"""The layers above the joined vector: their signal survives, fresh or over a loaded encoder."""

from __future__ import annotations

import math

import pytest
import torch
from model_factories import COLUMNS, build, encoder_config, poison, task
from torch import nn
from transformers import AutoModel

from hf_ext.models.arguments import ModelArguments
from hf_ext.models.configuration import ExtConfig
from hf_ext.models.linear import GlorotLinear, init_weights
from hf_ext.models.sequence_classification import ExtForSequenceClassification


def test_a_unit_signal_reaches_the_logits_of_a_narrow_stack():
    torch.manual_seed(0)
    model = build(encoder_config("bert"), classifier_hidden_sizes="512,64", classifier_dropout=0.0)
    layers = model.output_layers
    signal = torch.randn(2000, layers[1].in_features)
    assert 0.1 < layers(signal).std() < 3.0
    old = nn.Sequential(*(layer for layer in layers))
    with torch.no_grad():
        for layer in old:
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(std=0.02)
    assert old(signal).std() < 0.05  # what the encoders' own start would leave of it


@pytest.mark.parametrize("hidden", ["", "24", "24,8"])
def test_the_start_is_glorot_uniform(hidden):
    model = build(encoder_config("bert"), classifier_hidden_sizes=hidden)
    layers = [layer for layer in model.output_layers if isinstance(layer, GlorotLinear)]
    assert len(layers) == 1 + len([size for size in hidden.split(",") if size])
    for layer in layers:
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert 0.5 * bound < layer.weight.abs().max() <= bound
        assert (layer.bias == 0).all()


def test_the_start_holds_over_a_loaded_encoder_too(tmp_path):
    AutoModel.from_config(encoder_config("bert")).save_pretrained(tmp_path)
    poison()
    arguments = ModelArguments(classifier_hidden_sizes="24")
    config = ExtConfig.from_arguments(arguments, encoder_config("bert"), task(columns=COLUMNS))
    model = ExtForSequenceClassification.from_pretrained(tmp_path, config=config)
    for layer in model.modules():
        if isinstance(layer, GlorotLinear):
            bound = math.sqrt(6 / (layer.in_features + layer.out_features))
            assert 0.5 * bound < layer.weight.abs().max() <= bound


@pytest.mark.parametrize("fusion", ["gated", "attention"])
def test_columns_and_text_are_heard_alike_at_the_start(fusion):
    model = build(encoder_config("bert"), task(columns=COLUMNS), fusion=fusion)
    text = torch.randn(500, model.text_pooler.output_size, requires_grad=True)
    table = torch.randn(500, model.tabular.output_size, requires_grad=True)
    model.fusion(text, table).square().sum().backward()
    assert 0.02 < table.grad.norm() / text.grad.norm() < 50


def test_other_layers_are_not_ours():
    assert not init_weights(nn.Linear(2, 2))
    assert init_weights(GlorotLinear(2, 2, bias=False))
