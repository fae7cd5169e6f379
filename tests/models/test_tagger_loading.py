"""load_tagger: which tagger a run gets, with which weights, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from model_factories import FAMILIES, VOCAB_SIZE, build, encoder_config, recurrent_config
from tagger_factories import TAGS, arguments, batch, schema
from transformers import AutoModel, AutoModelForTokenClassification, PreTrainedModel

from hf_ext.models.encoders import set_word_vectors
from hf_ext.models.freezing import freeze_encoder
from hf_ext.models.joint_classification import ExtForJointClassification
from hf_ext.models.tagger_loading import SCRATCH_TAGGERS, load_tagger
from hf_ext.models.tagging_schema import TaggingSchema, tags_of_head
from hf_ext.models.token_classification import ExtForTokenClassification

FEWER = ("O", "B-LOC", "I-LOC")
OTHERS = ("O", "B-ORG", "I-ORG", "B-PER", "I-PER")


def saved(folder: Path, family: str = "bert", **settings: Any) -> PreTrainedModel:
    """Save a plain encoder and give it."""
    torch.manual_seed(7)
    model = AutoModel.from_config(encoder_config(family), **settings)
    model.save_pretrained(folder)
    return model


def load(folder: Path | None, wanted: TaggingSchema | None = None, **flags: Any) -> PreTrainedModel:
    name = None if folder is None else str(folder)
    wanted = schema() if wanted is None else wanted
    return load_tagger(arguments(model_name_or_path=name, **flags), wanted, vocab_size=VOCAB_SIZE)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_nothing_special_gives_the_stock_head_with_the_tags_in_its_config(family, tmp_path):
    source = saved(tmp_path, family).state_dict()
    model = load(tmp_path)
    assert not isinstance(model, ExtForTokenClassification)
    assert type(model).__name__.endswith("ForTokenClassification")
    loaded = model.base_model.state_dict()
    assert all(torch.equal(loaded[name], source[name]) for name in loaded if name in source)
    model.save_pretrained(tmp_path / "again")
    again = load(tmp_path / "again")
    assert TaggingSchema.from_config(again.config) == schema()
    inputs = {name: batch()[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(again.eval()(**inputs).logits, model.eval()(**inputs).logits)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"decoder": "crf"}, ("crf", "none", "none")),
        ({"head_rnn": "gru"}, ("softmax", "gru", "none")),
        ({"decoder": "crf", "head_rnn": "lstm"}, ("crf", "lstm", "none")),
        ({"character_encoder": "cnn"}, ("softmax", "none", "cnn")),
        ({"model_type": "bert_crf"}, ("crf", "none", "none")),
        ({"model_type": "bert_lstm_crf"}, ("crf", "lstm", "none")),
        ({"model_type": "bert_bilstm_crf"}, ("crf", "lstm", "none")),
        ({"model_type": "bert_bigru_softmax"}, ("softmax", "gru", "none")),
        ({"model_type": "bert_gru"}, ("softmax", "gru", "none")),
        ({"model_type": "bert_crf", "head_rnn": "gru"}, ("crf", "gru", "none")),
    ],
)
def test_flags_and_short_names_choose_what_stands_on_the_encoder(flags, expected, tmp_path):
    source = saved(tmp_path).state_dict()
    model = load(tmp_path, schema(characters="character_encoder" in flags), **flags)
    assert type(model) is ExtForTokenClassification
    config = model.config
    assert (config.tag_decoder, config.head_rnn, config.character_encoder) == expected
    assert (model.crf is None) is (expected[0] == "softmax")
    assert (model.head_rnn is None) is (expected[1] == "none")
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.encoder.state_dict().items())


@pytest.mark.parametrize(
    ("family", "alias"), [("deberta-v2", "deberta_v2_crf"), ("albert", "albert_lstm_crf"), ("roberta", "ROBERTA_CRF")]
)
def test_short_names_know_families_of_several_words(family, alias, tmp_path):
    saved(tmp_path, family)
    assert load(tmp_path, model_type=alias).config.tag_decoder == "crf"


def test_bare_family_leaves_the_rest_to_the_flags(tmp_path):
    saved(tmp_path)
    assert type(load(tmp_path, model_type="bert")).__name__ == "BertForTokenClassification"
    assert load(tmp_path, model_type="bert", decoder="crf").config.tag_decoder == "crf"


def test_sentence_labels_bring_the_joint_model(tmp_path):
    saved(tmp_path)
    model = load(tmp_path, schema(joint=True))
    assert type(model) is ExtForJointClassification
    assert (model.config.pooler, model.config.tag_decoder, model.config.multitask_alpha) == ("cls", "softmax", 0.5)
    assert load(tmp_path, schema(joint=True), pooler="mean").config.pooler == "mean"
    assert load(None, schema(joint=True)).config.pooler == "max"


@pytest.mark.parametrize(
    ("flags", "rnn", "decoder"),
    [
        ({}, "lstm", "crf"),
        ({"model_type": "bilstm_crf"}, "lstm", "crf"),
        ({"model_type": "bigru_crf"}, "gru", "crf"),
        ({"model_type": "bilstm_softmax"}, "lstm", "softmax"),
        ({"model_type": "bigru_softmax", "rnn": "gru"}, "gru", "softmax"),
        ({"decoder": "softmax"}, "lstm", "softmax"),
        ({"rnn": "gru"}, "gru", "crf"),
        ({"rnn": "none"}, "none", "crf"),
    ],
)
def test_from_scratch_short_names_and_flags_choose_layers_and_decoder(flags, rnn, decoder):
    model = load(None, rnn_layers=2, **flags)
    encoder = model.config.encoder_config
    assert (encoder.rnn, encoder.rnn_layers, model.config.tag_decoder) == (rnn, 2, decoder)
    assert (encoder.vocab_size, encoder.embedding_size, model.config.head_rnn) == (VOCAB_SIZE, 12, "none")


@pytest.mark.parametrize("kind", ["cnn", "lstm"])
def test_from_scratch_with_characters_the_recurrent_layers_read_both_vectors_of_a_word(kind):
    model = load(None, schema(characters=True), character_encoder=kind, rnn_layers=2, rnn_dropout=0.3)
    assert model.encoder.rnn is None
    assert model.config.encoder_config.hidden_size == 12
    rnn = model.head_rnn
    assert (type(rnn).__name__, rnn.hidden_size, rnn.num_layers, rnn.dropout) == ("LSTM", 6, 2, 0.3)
    assert rnn.input_size == 12 + (3 if kind == "cnn" else 6)
    assert load(None, schema(characters=True), character_encoder=kind, rnn="none").head_rnn is None
    with pytest.raises(ValueError, match=r"recurrent layers \(lstm\) stand above .* --head_rnn gru .* add --rnn none"):
        load(None, schema(characters=True), character_encoder=kind, head_rnn="gru")


def test_word_vectors_and_freezing_reach_the_encoder():
    model = load(None)
    set_word_vectors(model.encoder, {5: [0.5] * 12})
    assert (model.get_input_embeddings().weight[5] == 0.5).all()
    assert freeze_encoder(model, "all") == sum(weight.numel() for weight in model.encoder.parameters())
    assert model.crf.transitions.requires_grad


def test_what_a_from_scratch_run_builds_is_said_in_one_line(caplog):
    with caplog.at_level(logging.INFO, logger="hf_ext"):
        load(None, schema(characters=True), character_encoder="cnn")
    assert "training a tagger from scratch (rnn lstm, characters cnn, decoder crf)" in caplog.text


@pytest.mark.parametrize("joint", [False, True])
def test_a_saved_tagger_keeps_what_it_was_trained_with(joint, tmp_path):
    flags = {"character_encoder": "lstm", "head_rnn": "gru", "rnn": "none", "crf_constraints": "train"}
    wanted = schema(joint=joint, characters=True)
    model = load(None, wanted, **flags).eval()
    model.save_pretrained(tmp_path)
    again = load(tmp_path, wanted, head_rnn_hidden_size=99).eval()
    inputs = batch(joint=joint, characters=True)
    assert torch.equal(again(**inputs).logits, model(**inputs).logits)
    assert torch.equal(again(**inputs).tags, model(**inputs).tags)
    assert (again.config.crf_constraints, again.crf.constrain) == ("train", "train")
    assert load(tmp_path, wanted, crf_constraints="none").crf.constrain == "none"
    assert load(tmp_path, wanted, model_type="bilstm_crf").config.tag_decoder == "crf"
    for flag, other in (("decoder", "softmax"), ("head_rnn", "lstm"), ("character_encoder", "cnn")):
        with pytest.raises(ValueError, match=f"was trained with {flag} .*, not {other}; leave --{flag} away"):
            load(tmp_path, wanted, **{flag: other})
    with pytest.raises(ValueError, match="was trained with decoder crf, not softmax"):
        load(tmp_path, wanted, model_type="bilstm_softmax")


def test_a_saved_tagger_and_other_sentence_labels_or_characters_do_not_go_together(tmp_path):
    load(None, schema(joint=True, characters=True), character_encoder="cnn").save_pretrained(tmp_path / "joint")
    load(None).save_pretrained(tmp_path / "plain")
    with pytest.raises(ValueError, match="has sentence labels, which this run lacks"):
        load(tmp_path / "joint", schema(characters=True))
    with pytest.raises(ValueError, match="lacks sentence labels, which this run has"):
        load(tmp_path / "plain", schema(joint=True))
    with pytest.raises(ValueError, match="the characters of this run are not those"):
        load(tmp_path / "joint", schema(joint=True))


@pytest.mark.parametrize("kind", ["stock", "ours", "joint"])
def test_a_trained_head_with_another_number_of_tags_is_refused_unless_it_may_start_fresh(kind, tmp_path):
    flags = {} if kind == "stock" else {"decoder": "crf"}
    saved(tmp_path / "encoder")
    load(tmp_path / "encoder", schema(joint=kind == "joint"), **flags).save_pretrained(tmp_path / "head")
    fewer = schema(joint=kind == "joint", tags=FEWER)
    with pytest.raises(ValueError, match="has 5 tags, but the data has 3") as caught:
        load(tmp_path / "head", fewer)
    assert "\n" not in str(caught.value)
    model = load(tmp_path / "head", fewer, ignore_mismatched_sizes=True)
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert TaggingSchema.from_config(model.config) == fewer
    assert model.config.num_labels == 3


@pytest.mark.parametrize("decoder", [None, "crf"])
def test_a_head_with_other_tags_is_mentioned(decoder, tmp_path, caplog):
    saved(tmp_path / "encoder")
    load(tmp_path / "encoder", decoder=decoder).save_pretrained(tmp_path / "head")
    with caplog.at_level(logging.WARNING, logger="hf_ext"):
        load(tmp_path / "head", schema(tags=OTHERS))
    assert "trained for the tags O, B-LOC, I-LOC, B-PER, I-PER and goes on for O, B-ORG" in caplog.text


def test_other_sentence_labels_are_compared_too(tmp_path):
    load(None, schema(joint=True)).save_pretrained(tmp_path)
    other = TaggingSchema(TAGS, "BIO", sentence_labels=("yes", "no"))
    with pytest.raises(ValueError, match="has 3 sentence labels, but the data has 2"):
        load(tmp_path, other)
    assert load(tmp_path, other, ignore_mismatched_sizes=True).sentence_layer.out_features == 2


def test_a_head_from_elsewhere_brings_its_tags_and_its_weights(tmp_path):
    config = encoder_config("bert")
    config.id2label, config.label2id = dict(enumerate(TAGS)), {tag: i for i, tag in enumerate(TAGS)}
    other = AutoModelForTokenClassification.from_config(config)
    other.save_pretrained(tmp_path)
    known = tags_of_head(other.config)
    assert known == TaggingSchema(TAGS, "BIO")
    assert torch.equal(load(tmp_path, known).classifier.weight, other.classifier.weight)


def test_a_classifier_of_ours_lends_its_encoder(tmp_path):
    for name, config in (("bert", encoder_config("bert")), ("scratch", recurrent_config(rnn="gru"))):
        classifier = build(config, pooler="mean")
        classifier.save_pretrained(tmp_path / name)
        for decoder in (None, "crf"):
            model = load(tmp_path / name, decoder=decoder)
            source = classifier.encoder.state_dict()
            loaded = model.base_model.state_dict()
            assert all(torch.equal(loaded[key], source[key]) for key in loaded if "pooler" not in key)
            assert isinstance(model, ExtForTokenClassification) is (decoder == "crf" or name == "scratch")


def test_a_family_without_a_stock_head_gets_ours(tmp_path):
    encoder = AutoModel.from_config(recurrent_config(rnn="gru"))
    encoder.save_pretrained(tmp_path)
    model = load(tmp_path)
    assert type(model) is ExtForTokenClassification
    assert model.config.tag_decoder == "softmax"
    source = encoder.state_dict()
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.encoder.state_dict().items())


@pytest.mark.parametrize(
    ("from_scratch", "flags", "message"),
    [
        (True, {"model_type": "bert_crf"}, "bert_crf needs --model_name_or_path; from scratch there are bilstm_crf"),
        (
            True,
            {"model_type": "bilstm_crf", "rnn": "gru"},
            "has rnn lstm and decoder crf, which --rnn gru .*contradict",
        ),
        (True, {"model_type": "bilstm_crf", "decoder": "softmax"}, "--decoder softmax contradict"),
        (True, {"decoder": "softmax", "crf_constraints": "none"}, "--crf_constraints says nothing without a CRF"),
        (True, {"dtype": "bfloat16"}, "built in float32, not bfloat16"),
        (True, {"pooler": "mean"}, "the data have no sentence labels"),
        (False, {"crf_constraints": "train"}, "--crf_constraints says nothing without a CRF"),
        (False, {"model_type": "roberta_crf"}, "names a roberta encoder, but '.*' holds a bert one"),
        (False, {"model_type": "bert_crf", "decoder": "softmax"}, "bert_crf and --decoder softmax contradict"),
        (False, {"model_type": "bert_lstm_crf", "head_rnn": "gru"}, "bert_lstm_crf and --head_rnn gru contradict"),
        (False, {"model_type": "bilstm_crf"}, "bilstm_crf is trained from scratch: leave --model_name_or_path away"),
    ],
)
def test_contradictions_are_one_line(from_scratch, flags, message, tmp_path):
    saved(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load(None if from_scratch else tmp_path, **flags)
    assert "\n" not in str(caught.value)


def test_a_tagger_without_tags_or_vocabulary_is_refused():
    with pytest.raises(ValueError, match="at least one tag"):
        load(None, TaggingSchema((), "BIO"))
    with pytest.raises(ValueError, match="needs vocab_size"):
        load_tagger(arguments(), schema())


def test_one_tag_is_enough():
    model = load(None, TaggingSchema(("O",), "BIO")).eval()
    inputs = batch()
    inputs["labels"].clamp_(max=0)
    output = model(**inputs)
    assert output.tags.max() == 0
    assert output.loss.abs() < 1e-6


def test_every_short_name_builds_a_model_that_answers():
    for name in SCRATCH_TAGGERS:
        assert load(None, model_type=name).eval()(**batch()).loss.isfinite()
