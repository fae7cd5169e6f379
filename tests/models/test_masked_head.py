"""The projection at masked positions gives the loss and the gradients of the dense stock head, and saves as stock."""

from __future__ import annotations

import copy
import inspect
import json

import pytest
import torch
from masked_models import BERT, MODELS, build_masked_model, masked_batch, positions_of, stock_inputs
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertLMHeadModel,
    ElectraConfig,
    ElectraForPreTraining,
)
from transformers.utils.generic import find_labels

from hf_ext.models.masked_head import project_masked_only

# transformers computes ModernBERT's loss in float32 whatever the model is
TOLERANCES = {torch.float32: (1e-6, 1e-6), torch.float64: (1e-12, 1e-12)}


def both(family, pairs=False, **changes):
    stock = build_masked_model(family, pairs=pairs, **changes)
    ours = copy.deepcopy(stock)
    assert project_masked_only(ours)
    return stock, ours


def gradients(model):
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("family", "pairs"), MODELS)
def test_loss_and_gradients_are_those_of_the_dense_head(family, pairs, dtype):
    stock, ours = both(family, pairs, dtype=dtype)
    batch = masked_batch(pairs=pairs)
    expected = stock(**stock_inputs(family, batch)).loss
    expected.backward()
    loss = ours(**batch, masked_positions=positions_of(batch["labels"])).loss
    loss.backward()
    of_loss, of_gradient = (1e-6, 1e-6) if family == "modernbert" else TOLERANCES[dtype]
    torch.testing.assert_close(loss, expected, rtol=of_loss, atol=0, check_dtype=False)
    found, wanted = gradients(ours), gradients(stock)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=of_gradient)


@pytest.mark.parametrize(("family", "pairs"), MODELS)
def test_positions_that_are_not_given_are_found_in_the_labels(family, pairs):
    _, ours = both(family, pairs)
    batch = masked_batch(pairs=pairs)
    torch.testing.assert_close(
        ours(**batch).loss, ours(**batch, masked_positions=positions_of(batch["labels"])).loss, rtol=0, atol=0
    )


@pytest.mark.parametrize(("family", "pairs"), MODELS)
def test_without_labels_the_stock_forward_scores_every_token(family, pairs):
    stock, ours = both(family, pairs)
    batch = masked_batch(pairs=pairs)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    found, expected = ours(**inputs), stock(**inputs)
    assert type(found) is type(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("family", "pairs"), MODELS)
def test_what_is_saved_is_the_stock_model(family, pairs, tmp_path):
    stock, ours = both(family, pairs)
    stock.save_pretrained(tmp_path / "stock")
    ours.save_pretrained(tmp_path / "ours")
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "stock" / file).read_bytes() == (tmp_path / "ours" / file).read_bytes()
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["architectures"] == [type(stock).__name__]
    loaded = (AutoModelForPreTraining if pairs else AutoModelForMaskedLM).from_pretrained(tmp_path / "ours")
    assert type(loaded) is type(stock)
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), stock.state_dict().values(), strict=True)
    )


def test_the_count_of_the_step_divides_the_loss_and_the_rows_divide_that_of_pairs():
    _, ours = both("bert", pairs=True)
    batch = masked_batch(pairs=True)
    alone = ours(**batch)
    masked = int(batch["labels"].ne(-100).sum())
    shared = ours(**batch, num_items_in_batch=torch.tensor(2 * masked), num_rows_in_batch=torch.tensor(16))
    torch.testing.assert_close(shared.mlm_loss, alone.mlm_loss / 2)
    torch.testing.assert_close(shared.sentence_loss, alone.sentence_loss / 4)
    torch.testing.assert_close(shared.loss, shared.mlm_loss + shared.sentence_loss)
    assert not shared.mlm_loss.requires_grad


def test_pairs_without_a_label_do_not_count():
    _, ours = both("bert", pairs=True)
    batch = masked_batch(pairs=True)
    kept = {name: value[:3] for name, value in batch.items()}
    batch["next_sentence_label"][3] = -100
    torch.testing.assert_close(ours(**batch).sentence_loss, ours(**kept).sentence_loss)


@pytest.mark.parametrize("family", ["bert", "modernbert", "distilbert"])
def test_a_batch_without_a_masked_token_has_loss_zero_and_gradients_of_zero(family):
    _, ours = both(family)
    batch = masked_batch()
    batch["labels"].fill_(-100)
    loss = ours(**batch, masked_positions=positions_of(batch["labels"]), num_items_in_batch=torch.tensor(7)).loss
    loss.backward()
    assert loss == 0
    assert all(weight.grad is not None and not weight.grad.any() for weight in ours.parameters())


def test_positions_of_another_batch_are_refused():
    _, ours = both("bert")
    batch = masked_batch()
    positions = positions_of(batch["labels"])
    for wrong in (positions[:-1], torch.cat([positions, positions[:1]]), positions.roll(1) + 1):
        with pytest.raises((RuntimeError, IndexError)):
            ours(**batch, masked_positions=wrong)


def test_a_replica_of_data_parallel_looks_for_its_own_positions():
    stock, ours = both("bert")
    batch = masked_batch()
    ours._is_replica = True  # as DataParallel marks what it gives a part of the batch
    found = ours(**batch, masked_positions=torch.tensor([0, 1])).loss
    torch.testing.assert_close(found, stock(**batch).loss)


def test_two_losses_need_two_kinds_of_labels():
    _, ours = both("bert", pairs=True)
    with pytest.raises(ValueError, match="next_sentence_label"):
        ours(**masked_batch())


def test_low_precision_scores_are_summed_in_float32():
    _, ours = both("bert")
    batch = masked_batch()
    expected = ours(**batch).loss
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(**batch).loss.dtype == torch.float32
    low = ours.to(torch.bfloat16)(**batch).loss
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, expected, rtol=0.02, atol=0)


def test_gradient_checkpointing_changes_nothing():
    _, ours = both("bert")
    batch = masked_batch()
    ours(**batch).loss.backward()
    expected = {name: gradient.clone() for name, gradient in gradients(ours).items()}
    ours.zero_grad()
    ours.gradient_checkpointing_enable()
    ours.train()(**batch).loss.backward()
    for name, gradient in gradients(ours).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-7)


def test_embeddings_and_hidden_states_pass_through_and_tuples_come_on_request():
    _, ours = both("bert")
    batch = masked_batch()
    expected = ours(**batch, output_hidden_states=True)
    assert len(expected.hidden_states) == 3
    batch["inputs_embeds"] = ours.get_input_embeddings()(batch.pop("input_ids"))
    loss, *_ = ours(**batch, return_dict=False)
    torch.testing.assert_close(loss, expected.loss)


def test_trainer_finds_the_labels_and_the_promise_of_the_count():
    for pairs, labels in ((False, ["labels"]), (True, ["labels", "next_sentence_label"])):
        _, ours = both("albert", pairs=pairs)
        assert find_labels(type(ours)) == labels
        assert ours.accepts_loss_kwargs
        assert {"num_items_in_batch", "masked_positions", "token_type_ids"} <= set(
            inspect.signature(ours.forward).parameters
        )


def test_it_is_done_once_and_survives_a_copy():
    stock, ours = both("bert")
    assert str(type(ours)) == str(type(stock))
    assert isinstance(ours, BertForMaskedLM)
    before = type(ours)
    assert project_masked_only(ours)
    assert type(ours) is before
    twin, batch = copy.deepcopy(ours), masked_batch()
    with torch.no_grad():
        ours.cls.predictions.bias.add_(1.0)
        ours.cls.predictions.transform.dense.weight.zero_()
    torch.testing.assert_close(twin(**batch).loss, stock(**batch).loss)


class Subclass(BertForMaskedLM):
    """A model with a forward of its own."""

    def forward(self, **inputs):
        return super().forward(**inputs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BertLMHeadModel(BertConfig(is_decoder=True, **BERT)),
        lambda: BertForSequenceClassification(BertConfig(**BERT)),
        lambda: ElectraForPreTraining(ElectraConfig(**BERT)),
        lambda: Subclass(BertConfig(**BERT)),
        lambda: build_masked_model("bert", is_decoder=True),
    ],
)
def test_what_is_not_known_is_left_alone(make):
    model = make()
    before = type(model)
    assert not project_masked_only(model)
    assert type(model) is before


def test_a_forward_that_somebody_bound_to_the_model_is_left_alone():
    model = build_masked_model("bert")
    model.forward = lambda **inputs: None
    assert not project_masked_only(model)
