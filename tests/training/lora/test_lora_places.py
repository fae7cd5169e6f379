"""Which layers of each family get small matrices, and which modules are trained in full."""

from __future__ import annotations

import re

import pytest
import torch
from family_models import FAMILIES, ours, stock, tagger
from lora_cases import adapt, learning
from torch import nn
from training_models import tiny_bert
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForPreTraining, BertModel

from hf_ext.errors import UserError
from hf_ext.training.lora.places import find_targets, find_trained_in_full

BERT = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
# family -> linear layers of the attention in a layer, and what is trained in full
EXPECTED = {
    "bert": (BERT, ["bert.pooler", "classifier"]),
    "roberta": (BERT, ["classifier"]),
    "distilbert": (
        tuple(f"attention.{name}_lin" for name in ("q", "k", "v", "out")),
        ["pre_classifier", "classifier"],
    ),
    "electra": (BERT, ["classifier"]),
    "modernbert": (("attn.Wqkv", "attn.Wo"), ["head", "classifier"]),
    "deberta-v2": (
        (
            *(f"attention.self.{name}_proj" for name in ("query", "key", "value", "pos_key", "pos_query")),
            "attention.output.dense",
        ),
        ["pooler", "classifier"],
    ),
    "albert": (
        tuple(f"attention.{name}" for name in ("query", "key", "value", "dense")),
        ["albert.pooler", "classifier"],
    ),
    "funnel": (tuple(f"attention.{name}" for name in ("q_head", "k_head", "v_head", "post_proj")), ["classifier"]),
}
MASKED = {
    "bert": ["cls.predictions.transform"],
    "roberta": ["lm_head.dense", "lm_head.layer_norm"],
    "distilbert": ["vocab_transform", "vocab_layer_norm"],
    "electra": ["generator_predictions"],
    "albert": ["predictions.LayerNorm", "predictions.dense"],
    "modernbert": ["head"],
}
FEED_FORWARD = ("intermediate.dense", "output.dense")


def ends(names):
    return list(dict.fromkeys(re.split(r"(?:\.\d+)+\.", name)[-1] for name in names))


@pytest.mark.parametrize("family", EXPECTED)
def test_the_attention_of_each_family_is_found_and_its_head_is_trained_in_full(family):
    model, (layers, heads) = stock(family), EXPECTED[family]
    found = find_targets(model)
    assert tuple(ends(found)) == layers
    assert all(isinstance(model.get_submodule(name), nn.Linear) for name in found)
    assert find_trained_in_full(model) == heads


@pytest.mark.parametrize("family", EXPECTED)
def test_nothing_else_learns(family):
    heads = tuple(f"base_model.model.{name}.modules_to_save.default." for name in EXPECTED[family][1])
    names = list(learning(adapt(stock(family))))
    assert names
    assert all(name.startswith(heads) or re.search(r"\.lora_[AB]\.default\.weight$", name) for name in names)
    assert all(any(name.startswith(head) for name in names) for head in heads)


@pytest.mark.parametrize("family", MASKED)
def test_of_a_masked_language_model_all_but_the_tied_decoder_is_trained(family):
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(family, **FAMILIES[family]))
    assert find_trained_in_full(model) == MASKED[family]


def test_the_head_for_sentence_pairs_is_trained_too():
    model = AutoModelForPreTraining.from_config(AutoConfig.for_model("bert", **FAMILIES["bert"]))
    assert find_trained_in_full(model) == ["bert.pooler", "cls.predictions.transform", "cls.seq_relationship"]


def test_of_our_models_all_above_the_encoder_is_trained():
    assert find_trained_in_full(ours()) == ["tabular", "output_layers"]
    assert find_trained_in_full(tagger()) == ["emissions", "crf"]


@pytest.mark.parametrize(
    ("asked", "layers"),
    [
        ("all", (*BERT, *FEED_FORWARD)),
        ("query,value", (BERT[0], BERT[2])),
        (" output.dense ", (BERT[3], FEED_FORWARD[1])),
    ],
)
def test_layers_are_named_by_the_ends_of_their_names(asked, layers):
    assert tuple(ends(find_targets(tiny_bert(), asked))) == layers


def test_what_comes_before_the_layers_is_never_adapted():
    assert not [name for name in find_targets(stock("electra"), "all") if "embeddings" in name]


@pytest.mark.parametrize(
    ("model", "asked", "words"),
    [
        (tiny_bert, "queri", "have no such linear layer – known: 'attention.output.dense'"),
        (tiny_bert, "attention.self.quary", "did you mean 'attention.self.query'"),
        (
            lambda: stock("xlnet"),
            "attention",
            r"\(xlnet\) has no linear layers – name some .* of ff.layer_1, ff.layer_2",
        ),
        (lambda: ours(recurrent="lstm"), "attention", "has no linear layers – leave it out"),
        (lambda: BertModel(tiny_bert().config), "attention", "does not say which part of it is the encoder"),
    ],
)
def test_an_encoder_without_such_layers_is_one_line(model, asked, words):
    with pytest.raises(UserError, match=words):
        find_targets(model(), asked)


def test_a_weight_in_no_module_is_refused():
    model = tiny_bert()
    model.temperature = nn.Parameter(torch.ones(1))
    with pytest.raises(UserError, match="temperature lies in no module"):
        find_trained_in_full(model)


def test_rows_of_new_tokens_learn_in_the_table_and_in_the_decoder_that_is_tied_to_it():
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **FAMILIES["bert"]))
    adapted = adapt(model, new_rows=[38, 39])
    rows = {name: weight for name, weight in learning(adapted).items() if "trainable_tokens" in name}
    assert [list(weight.shape) for weight in rows.values()] == [[2, 16]]
    before = model.get_output_embeddings().weight.detach().clone()
    with torch.no_grad():
        adapted.get_parameter(next(iter(rows))).add_(1.0)
    merged = adapted.merge_and_unload()
    assert merged.get_input_embeddings().weight is merged.get_output_embeddings().weight
    changed = (merged.get_input_embeddings().weight - before).any(1).nonzero().flatten()
    assert changed.tolist() == [38, 39]
