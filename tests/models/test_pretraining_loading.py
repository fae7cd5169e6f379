"""Models for pretraining: from scratch, from checkpoints with and without a head; one line for what does not fit."""

from __future__ import annotations

import logging

import pytest
import torch
from masked_models import BERT, FAMILIES, PAIR_FAMILIES, build_masked_model, masked_batch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertForPreTraining,
    RobertaConfig,
    RobertaModel,
)

from hf_ext.models.masked_head import project_masked_only
from hf_ext.models.pretraining_arguments import PretrainingModelArguments
from hf_ext.models.pretraining_loading import load_pretraining_model, override_config

SMALL = "hidden_size=16,num_hidden_layers=2,num_attention_heads=2"


def load(*, pairs=False, notes=None, vocab_size=30, pad_token_id=0, **flags):
    return load_pretraining_model(
        PretrainingModelArguments(**flags),
        sentence_pairs=pairs,
        vocab_size=vocab_size,
        pad_token_id=pad_token_id,
        notes=[] if notes is None else notes,
    )


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_with_a_head_is_loaded_as_it_is(family, tmp_path):
    saved = build_masked_model(family)
    saved.save_pretrained(tmp_path)
    notes = []
    model = load(model_name_or_path=str(tmp_path), notes=notes)
    assert type(model) is type(saved)
    assert notes == []
    assert all(torch.equal(weight, saved.state_dict()[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_without_a_head_gets_one_tied_to_its_embeddings_said_in_one_line(family, tmp_path, caplog):
    # tie_word_embeddings is False in the configs of some encoders, which never had a decoder
    encoder = AutoModel.from_config(AutoConfig.for_model(family, **FAMILIES[family], tie_word_embeddings=False))
    encoder.save_pretrained(tmp_path)
    notes = []
    with caplog.at_level(logging.INFO, logger="hf_ext"):
        model = load(model_name_or_path=str(tmp_path), notes=notes)
    assert not caplog.records
    assert notes == [
        f"{str(tmp_path)!r} has no head for masked tokens: it gets one, whose decoder is tied to the token embeddings."
    ]
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for name, weight in encoder.state_dict().items():
        if not name.startswith("pooler."):
            assert torch.equal(model.base_model.state_dict()[name], weight), name
    assert project_masked_only(model)
    assert model(**masked_batch()).loss.isfinite()
    model.save_pretrained(tmp_path / "saved")
    again = load(model_name_or_path=str(tmp_path / "saved"), notes=notes)
    assert len(notes) == 1  # the saved one has a head
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in again.state_dict().items())


def test_a_head_that_lacks_some_of_its_weights_is_said_by_their_names(tmp_path):
    saved = build_masked_model("bert")
    weights = {
        name: value for name, value in saved.state_dict().items() if "LayerNorm" not in name or "cls" not in name
    }
    saved.save_pretrained(tmp_path, state_dict=weights)
    notes = []
    load(model_name_or_path=str(tmp_path), notes=notes)
    names = "cls.predictions.transform.LayerNorm.bias, cls.predictions.transform.LayerNorm.weight"
    assert notes == [f"the head for masked tokens of {str(tmp_path)!r} lacks {names}, which start fresh."]


def test_transformers_says_nothing_of_a_damaged_file_where_only_the_head_is_missing(tmp_path, caplog):
    build_masked_model("bert").base_model.save_pretrained(tmp_path)
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addHandler(caplog.handler)
    try:
        load(model_name_or_path=str(tmp_path))
    finally:
        logger.removeHandler(caplog.handler)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("family", PAIR_FAMILIES)
def test_sentence_pairs_take_the_class_with_both_heads(family, tmp_path):
    build_masked_model(family).save_pretrained(tmp_path)
    notes = []
    model = load(model_name_or_path=str(tmp_path), pairs=True, notes=notes)
    assert type(model).__name__.endswith("ForPreTraining")
    assert len(notes) == 1
    assert "no head for sentence pairs" in notes[0]
    build_masked_model(family, pairs=True).save_pretrained(tmp_path / "both")
    notes.clear()
    load(model_name_or_path=str(tmp_path / "both"), pairs=True, notes=notes)
    assert notes == []


def test_the_masked_head_of_a_checkpoint_with_both_is_kept_without_pairs(tmp_path):
    saved = build_masked_model("bert", pairs=True)
    saved.save_pretrained(tmp_path)
    notes = []
    model = load(model_name_or_path=str(tmp_path), notes=notes)
    assert notes == []
    assert torch.equal(model.cls.predictions.transform.dense.weight, saved.cls.predictions.transform.dense.weight)


@pytest.mark.parametrize(
    ("dtype", "expected"), [(None, torch.float32), ("bfloat16", torch.bfloat16), ("auto", torch.float16)]
)
def test_weights_are_float32_unless_asked(dtype, expected, tmp_path):
    build_masked_model("bert", dtype=torch.float16).save_pretrained(tmp_path)
    assert load(model_name_or_path=str(tmp_path), dtype=dtype).dtype == expected


def test_a_lost_weight_of_the_encoder_is_refused(tmp_path):
    build_masked_model("bert").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lacks 1 weights of its bert encoder"):
        load(model_name_or_path=str(tmp_path))


def test_notes_are_logged_where_nobody_collects_them(tmp_path, caplog):
    build_masked_model("bert").base_model.save_pretrained(tmp_path)
    arguments = PretrainingModelArguments(model_name_or_path=str(tmp_path))
    with caplog.at_level(logging.INFO, logger="hf_ext.models.pretraining_loading"):
        load_pretraining_model(arguments, sentence_pairs=False, vocab_size=40, pad_token_id=0)
    assert "no head for masked tokens" in caplog.text


# --- from scratch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_from_scratch_has_the_sizes_asked_for_and_the_vocabulary_of_its_tokenizer(family):
    model = load(model_type=family, config_overrides=SMALL, vocab_size=33, pad_token_id=4)
    assert model.config.hidden_size == 16
    assert len(model.state_dict()[next(n for n in model.state_dict() if "word" in n or "tok_" in n)]) == 33
    assert model.config.pad_token_id == 4
    ids = [getattr(model.config, f"{name}_token_id", None) for name in ("bos", "cls", "eos", "sep", "mask")]
    assert ids == [None] * 5  # those of the family's own vocabulary
    assert model.dtype == torch.float32
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_config_from_a_folder_may_be_changed(tmp_path):
    BertConfig(**BERT).save_pretrained(tmp_path)
    model = load(config_name=str(tmp_path), config_overrides="num_hidden_layers=1", pairs=True)
    assert isinstance(model, BertForPreTraining)
    assert (model.config.num_hidden_layers, model.config.hidden_size, model.config.vocab_size) == (1, 16, 30)


def test_overrides_have_the_type_of_what_they_replace():
    config = RobertaConfig()
    override_config(config, "hidden_size = 32, hidden_dropout_prob=0, hidden_act=relu,tie_word_embeddings=no")
    assert (config.hidden_size, config.hidden_act, config.tie_word_embeddings) == (32, "relu", False)
    assert isinstance(config.hidden_dropout_prob, float)
    distilbert = AutoConfig.for_model("distilbert")
    override_config(distilbert, "hidden_size=32")  # which this family calls dim
    assert distilbert.dim == 32


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "needs --model_type"),
        ({"model_type": "brt"}, "did you mean 'bert'"),
        ({"model_type": "bert", "config_overrides": "hiden_size=4"}, "did you mean 'hidden_size'"),
        ({"model_type": "bert", "config_overrides": "hidden_size"}, "name=value"),
        ({"model_type": "bert", "config_overrides": "hidden_size="}, "name=value"),
        ({"model_type": "bert", "config_overrides": "hidden_size=big"}, "hidden_size=big"),
        ({"model_type": "bert", "config_overrides": "num_hidden_layers=-1"}, "negative"),
        ({"model_type": "bert", "config_overrides": "id2label=a"}, "id2label=a"),
        ({"model_type": "bert", "config_overrides": "vocab_size=9"}, "the tokenizer"),
        ({"model_type": "bert", "config_overrides": "hidden_size=17"}, "no bert model can be built"),
        ({"model_type": "bert", "config_overrides": f"{SMALL},hidden_act=foo"}, "no bert model can be built"),
        ({"model_type": "gpt2"}, "--model_type gpt2"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(flags, message):
    with pytest.raises(ValueError, match=message) as refused:
        load(**flags)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("family", ["roberta", "distilbert"])
def test_pairs_are_refused_for_families_without_that_head(family):
    with pytest.raises(ValueError, match=f"a {family} model has no head for sentence pairs; albert, bert, ernie have"):
        load(model_type=family, config_overrides=SMALL, pairs=True)


def test_a_family_that_is_not_the_checkpoints_is_refused(tmp_path):
    RobertaModel(RobertaConfig(**BERT)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a roberta one"):
        load(model_name_or_path=str(tmp_path), model_type="bert")


def test_a_model_that_reads_from_left_to_right_is_refused(tmp_path):
    AutoConfig.for_model("gpt2").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="a gpt2 model has no head for masked tokens"):
        load(model_name_or_path=str(tmp_path))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"model_name_or_path": "m", "config_overrides": "hidden_size=8"},
            "--config_overrides is for a model from scratch",
        ),
        ({"train_new_rows_steps": -1}, "number of steps"),
        ({"train_new_rows_steps": 5}, "needs --add_tokens"),
        ({"pad_vocab_to_multiple_of": 0}, "from 1 to 4096"),
        ({"pad_vocab_to_multiple_of": 10**9}, "from 1 to 4096"),
        ({"freeze_encoder": "half"}, "--freeze_encoder"),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_anything_is_read(flags, message):
    with pytest.raises(ValueError, match=message):
        PretrainingModelArguments(**flags)


def test_empty_texts_are_no_values():
    arguments = PretrainingModelArguments(config_overrides="", add_tokens="", config_name="")
    assert (arguments.config_overrides, arguments.add_tokens, arguments.config_name) == (None, None, None)


def test_fewer_layers_than_a_family_lists_kinds_for_can_be_saved(tmp_path):
    """ModernBERT derives from its 22 layers which of them see only their surroundings."""
    sizes = "hidden_size=16,num_hidden_layers=4,num_attention_heads=2,intermediate_size=16"
    arguments = PretrainingModelArguments(model_type="modernbert", config_overrides=sizes)
    model = load_pretraining_model(arguments, sentence_pairs=False, vocab_size=30, pad_token_id=0)
    every_third = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    assert model.config.layer_types == every_third
    model.save_pretrained(tmp_path)
    assert AutoModelForMaskedLM.from_pretrained(tmp_path).config.layer_types == every_third
