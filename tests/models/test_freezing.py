"""freeze_encoder: exactly the lower part stops learning."""

from __future__ import annotations

import pytest
import torch
from model_factories import FAMILIES, batch, build, encoder_config, recurrent_config
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from hf_ext.models.freezing import freeze_encoder

STACKED = [family for family in FAMILIES if family != "albert"]


def stock(family: str) -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_config(encoder_config(family))


def frozen_names(model: nn.Module) -> set[str]:
    return {name for name, weight in model.named_parameters() if not weight.requires_grad}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("make", [stock, lambda family: build(encoder_config(family), pooler="mean")])
def test_all_freezes_the_encoder_and_leaves_the_head(make, family):
    model = make(family)
    count = freeze_encoder(model, "all")
    encoder = {name for name, _ in model.named_parameters() if name.startswith(f"{model.base_model_prefix}.")}
    pooling = {name for name in encoder if name.startswith(f"{model.base_model_prefix}.pooler.")}
    assert frozen_names(model) == encoder - pooling
    assert count == sum(weight.numel() for weight in model.parameters() if not weight.requires_grad)
    assert any(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("family", STACKED)
def test_first_layers_freeze_with_the_embeddings_and_the_rest_learns(family):
    model = build(encoder_config(family), pooler="mean")
    freeze_encoder(model, 1)
    frozen = frozen_names(model.encoder)
    layered = [name for name, _ in model.encoder.named_parameters() if ".0." in name or ".1." in name]
    stack = {name for name in layered if "layer" in name}
    first = {name for name in stack if "layers.0." in name or "layer.0." in name}
    embeddings = {name for name, _ in model.encoder.named_parameters() if "emb" in name} - stack
    assert frozen == embeddings | first
    assert embeddings
    assert first
    assert first < stack
    assert not model.get_input_embeddings().weight.requires_grad


def test_bert_names_by_hand():
    model = build(encoder_config("bert"))
    freeze_encoder(model, "1")
    frozen = frozen_names(model)
    assert {name.split(".")[1] for name in frozen} == {"embeddings", "encoder"}
    assert "bert.embeddings.position_embeddings.weight" in frozen
    assert "bert.embeddings.LayerNorm.weight" in frozen
    assert "bert.encoder.layer.0.output.dense.weight" in frozen
    assert not any("layer.1." in name for name in frozen)


def test_frozen_weights_do_not_move_and_the_others_do():
    model = build(encoder_config("bert"), pooler="mean").train()
    freeze_encoder(model, 1)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.5)
    model(**batch(), labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    optimizer.step()
    still = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert frozen_names(model) <= still
    assert "bert.encoder.layer.1.output.dense.weight" not in still
    assert "output_layers.1.weight" not in still


def test_zero_freezes_the_embeddings_alone():
    for model in (build(encoder_config("albert")), build(recurrent_config(rnn="lstm"))):
        freeze_encoder(model, 0)
        assert all("emb" in name for name in frozen_names(model))
        assert not model.get_input_embeddings().weight.requires_grad


def test_recurrent_encoder_freezes_as_a_whole():
    model = build(recurrent_config(rnn="gru"), ngram_sizes="2", ngram_buckets=7)
    assert freeze_encoder(model, "all") == sum(weight.numel() for weight in model.encoder.parameters())
    assert model.wide.table.weight.requires_grad


def test_more_layers_than_there_are_is_an_error_with_both_numbers():
    with pytest.raises(ValueError, match="cannot freeze 3 layers: the bert encoder has 2"):
        freeze_encoder(build(encoder_config("bert")), 3)
    with pytest.raises(ValueError, match="cannot freeze 1 layers: the hf_ext_recurrent encoder has 0"):
        freeze_encoder(build(recurrent_config()), 1)


def test_shared_layers_cannot_be_frozen_in_part():
    with pytest.raises(ValueError, match=r"albert applies 1 shared layer\(s\) 2 times"):
        freeze_encoder(build(encoder_config("albert")), 1)


def test_model_without_a_named_encoder_is_refused():
    class Bare(PreTrainedModel):
        config_class = PreTrainedConfig
        base_model_prefix = "nothing"

    with pytest.raises(ValueError, match="Bare does not say which part of it is the encoder"):
        freeze_encoder(Bare(PreTrainedConfig()), "all")
