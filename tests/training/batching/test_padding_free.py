"""``--length_strategy pack``: training and prediction are those of ``dynamic``, and what happens where it cannot be."""

from __future__ import annotations

import logging

import batching_cases as cases
import datasets
import numpy as np
import pytest
import torch
from loss_scale_cases import build_model, ratio_and_error
from torch import nn
from training_models import tiny_bert
from transformers import BertConfig, BertForSequenceClassification

from hf_ext.models.packed_encoder import PackedLayer
from hf_ext.training import ExtTrainer
from hf_ext.training.batching.grouping import LengthGroupedRows

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def eager_bert():
    config = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    return BertForSequenceClassification._from_config(config, attn_implementation="eager")


def is_packed(model):
    return any(isinstance(part, PackedLayer) for part in model.modules())


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("head", ["stock", "frozen"])
def test_batches_and_gradients_are_those_of_dynamic(tmp_path, head, steps):
    def step(strategy):
        return cases.step_gradient(head, tmp_path, length_strategy=strategy, gradient_accumulation_steps=steps)

    (seen, expected), (packed, found) = step("dynamic"), step("pack")
    assert packed == seen
    assert ratio_and_error(found, expected)[1] < 1e-12
    assert is_packed(build_model(head)) is False


def test_a_run_ends_with_the_weights_of_dynamic(tmp_path):
    weights = []
    for strategy in ("dynamic", "pack"):
        model = tiny_bert(**NO_DROPOUT)
        args = cases.settings(tmp_path, max_steps=4, save_strategy="no", length_strategy=strategy)
        trainer = ExtTrainer(model, args, train_dataset=cases.build_rows(holes=False), data_collator=cases.collate)
        trainer.train()
        assert trainer.length_strategy == strategy
        assert is_packed(model) is (strategy == "pack")
        weights.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-5)


@pytest.mark.parametrize("build", [lambda: tiny_bert(**NO_DROPOUT), lambda trial: tiny_bert(**NO_DROPOUT)])
def test_every_model_of_model_init_is_packed(tmp_path, build):
    weights = []
    for strategy in ("dynamic", "pack"):
        args = cases.settings(tmp_path, max_steps=2, save_strategy="no", length_strategy=strategy)
        rows = cases.build_rows(holes=False)
        trainer = ExtTrainer(None, args, model_init=build, train_dataset=rows, data_collator=cases.collate)
        first = trainer.model
        trainer.train()
        assert trainer.model is not first
        assert is_packed(first) is is_packed(trainer.model) is (strategy == "pack")
        weights.append(torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()]))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-5)


def test_a_later_model_that_cannot_be_packed_is_said(tmp_path, caplog):
    models = [eager_bert(), tiny_bert()]
    args = cases.settings(tmp_path, max_steps=1, save_strategy="no", length_strategy="pack")
    rows = cases.build_rows(holes=False)
    trainer = ExtTrainer(None, args, model_init=lambda: models.pop(), train_dataset=rows, data_collator=cases.collate)
    trainer.train()
    assert not is_packed(trainer.model)
    assert "This model of model_init does not compute without padding" in caplog.text


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tmp_path):
    seen, weights = cases.train(tmp_path / "run", length_strategy="pack")
    step = cases.SAVED_STEPS[1]
    resumed, others = cases.train(tmp_path / "run", resume_at=step, length_strategy="pack")
    assert resumed == seen[step:]
    assert torch.equal(weights, others)


def test_predictions_are_those_of_every_row_by_itself(tmp_path):
    output = cases.predict(tmp_path, length_strategy="pack")
    np.testing.assert_allclose(output["predictions"], cases.reference_logits(), rtol=0, atol=1e-6)


def test_an_encoder_that_cannot_be_packed_gets_groups_and_it_is_said(arguments, caplog):
    with caplog.at_level(logging.WARNING):
        trainer = ExtTrainer(eager_bert(), arguments(length_strategy="pack"), train_dataset=cases.build_rows())
    assert trainer.length_strategy == "group"
    assert isinstance(trainer._get_train_sampler(), LengthGroupedRows)
    assert "this encoder (bert, attention eager) does not compute without padding; taking group" in caplog.text


def test_where_rows_cannot_be_grouped_either_they_are_padded_as_they_come(arguments, caplog):
    stream = datasets.IterableDataset.from_generator(cases.build_rows)
    args = arguments(length_strategy="pack", max_steps=1)
    assert ExtTrainer(eager_bert(), args, train_dataset=stream).length_strategy == "dynamic"
    assert "taking dynamic" in caplog.text
    args = arguments(length_strategy="pack", train_sampling_strategy="sequential")
    assert ExtTrainer(eager_bert(), args, train_dataset=cases.build_rows()).length_strategy == "dynamic"


def test_streams_are_packed(arguments, bert):
    stream = datasets.IterableDataset.from_generator(cases.build_rows)
    trainer = ExtTrainer(bert, arguments(length_strategy="pack", max_steps=1), train_dataset=stream)
    assert trainer.length_strategy == "pack"


def test_a_module_that_is_no_model_of_transformers_is_told_by_its_name(arguments, caplog):
    args = arguments(length_strategy="pack")
    trainer = ExtTrainer(nn.Linear(2, 2), args, train_dataset=cases.build_rows(), data_collator=cases.collate)
    assert trainer.length_strategy == "group"
    assert "this encoder (Linear, attention of its own)" in caplog.text
