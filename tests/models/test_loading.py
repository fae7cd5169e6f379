"""load_sequence_classifier: which model a run gets, with which weights, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from model_factories import (
    COLUMNS,
    FAMILIES,
    VOCAB_SIZE,
    arguments,
    batch,
    build,
    encoder_config,
    poison,
    recurrent_config,
    task,
)
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from hf_ext.models.loading import SCRATCH_MODELS, load_config, load_sequence_classifier
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, LabelSchema, TabularSchema, TaskSchema
from hf_ext.models.sequence_classification import ExtForSequenceClassification

CHECKPOINTS: dict[str, Any] = {
    "plain": AutoModel,
    "masked_lm": AutoModelForMaskedLM,
    "tokens": AutoModelForTokenClassification,
    "sequences": AutoModelForSequenceClassification,
}


def saved(folder: Path, family: str = "bert", kind: str = "plain", **settings: Any) -> PreTrainedModel:
    """Save a checkpoint of a family and give the model that was saved."""
    torch.manual_seed(7)
    config = encoder_config(family)
    for name, value in settings.items():
        setattr(config, name, value)
    # XLNet is pretrained as a language model of its own kind
    if (family, kind) == ("xlnet", "masked_lm"):
        from transformers import XLNetLMHeadModel

        model = XLNetLMHeadModel(config)
    else:
        model = CHECKPOINTS[kind].from_config(config)
    model.save_pretrained(folder)
    return model


def load(folder: Path | None, schema: TaskSchema | None = None, **flags: Any) -> PreTrainedModel:
    name = None if folder is None else str(folder)
    schema = task() if schema is None else schema
    return load_sequence_classifier(arguments(model_name_or_path=name, **flags), schema, vocab_size=VOCAB_SIZE)


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", CHECKPOINTS)
@pytest.mark.parametrize("stock", [False, True])
def test_encoder_weights_are_those_of_the_checkpoint(family, kind, stock, tmp_path):
    source = saved(tmp_path, family, kind).base_model.state_dict()
    poison()
    model = load(tmp_path, ignore_mismatched_sizes=True, **({} if stock else {"pooler": "lstm"}))
    assert isinstance(model, ExtForSequenceClassification) is not stock
    loaded = model.base_model.state_dict()
    compared = [name for name in loaded if name in source]
    assert len(compared) >= len(loaded) - 2  # at most a pooling layer is new
    assert all(torch.equal(loaded[name], source[name]) for name in compared)
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert model(**batch()).logits.isfinite().all()


@pytest.mark.parametrize("stock", [False, True])
def test_sharded_checkpoint_in_bfloat16_loads_in_float32(stock, tmp_path):
    source = AutoModel.from_config(encoder_config("bert")).to(torch.bfloat16)
    source.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    model = load(tmp_path, **({} if stock else {"pooler": "mean"}))
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    key = "encoder.layer.1.output.dense.weight"
    assert torch.equal(model.base_model.state_dict()[key], source.state_dict()[key].float())


def test_dtype_is_what_the_flag_says(tmp_path):
    saved(tmp_path)
    assert load(tmp_path, dtype="bfloat16", pooler="mean").encoder.dtype == torch.bfloat16
    assert load(tmp_path, dtype="bfloat16").dtype == torch.bfloat16


def test_nothing_special_gives_the_stock_head_with_the_task_written_into_its_config(tmp_path):
    saved(tmp_path)
    schema = task(("no", "yes"))
    model = load(tmp_path, schema)
    assert type(model).__name__ == "BertForSequenceClassification"
    model.save_pretrained(tmp_path / "again")
    assert TaskSchema.from_config(load_config(arguments(model_name_or_path=str(tmp_path / "again")))) == schema


@pytest.mark.parametrize("problem_type", [MULTI_LABEL, REGRESSION])
def test_stock_head_knows_the_kind_of_task(problem_type, tmp_path):
    saved(tmp_path)
    model = load(tmp_path, task(problem_type=problem_type))
    assert model.config.problem_type == problem_type
    assert model(**batch()).logits.shape == (4, 1 if problem_type == REGRESSION else 3)


def test_columns_bring_our_model_with_the_cls_pooler(tmp_path):
    saved(tmp_path)
    model = load(tmp_path, task(columns=COLUMNS))
    assert isinstance(model, ExtForSequenceClassification)
    assert model.config.pooler == "cls"
    assert model(**batch(columns=COLUMNS)).logits.shape == (4, 3)


@pytest.mark.parametrize(
    ("family", "alias", "pooler"),
    [("bert", "bert_cnn", "textcnn"), ("xlnet", "xlnet_lstm", "lstm"), ("deberta-v2", "deberta_v2_gru", "gru")],
)
def test_alias_names_family_and_pooler(family, alias, pooler, tmp_path):
    saved(tmp_path, family)
    assert load(tmp_path, model_type=alias).config.pooler == pooler


def test_bare_family_means_the_stock_head(tmp_path):
    saved(tmp_path, "albert")
    assert type(load(tmp_path, model_type="albert")).__name__ == "AlbertForSequenceClassification"


def test_alias_that_contradicts_checkpoint_or_flags_is_refused(tmp_path):
    saved(tmp_path)
    with pytest.raises(
        ValueError, match=r"--model_type roberta_cnn names a roberta encoder, but '.*' holds a bert one"
    ):
        load(tmp_path, model_type="roberta_cnn")
    with pytest.raises(ValueError, match="bert_cnn and --pooler mean contradict"):
        load(tmp_path, model_type="bert_cnn", pooler="mean")
    with pytest.raises(ValueError, match="textcnn is trained from scratch"):
        load(tmp_path, model_type="textcnn")
    with pytest.raises(
        ValueError, match="bert_cnn needs --model_name_or_path; from scratch there are wide_textcnn, textcnn"
    ):
        load(None, model_type="bert_cnn")


@pytest.mark.parametrize(
    ("flags", "rnn", "pooler", "ngram_sizes"),
    [
        ({}, "none", "textcnn", [1, 2, 3]),
        ({"ngram_sizes": ""}, "none", "textcnn", []),
        ({"ngram_sizes": "4,2"}, "none", "textcnn", [2, 4]),
        ({"rnn": "lstm"}, "lstm", "max", []),
        ({"pooler": "mean"}, "none", "mean", []),
        ({"rnn": "gru", "pooler": "attention", "ngram_sizes": "2"}, "gru", "attention", [2]),
        ({"model_type": "wide_textcnn"}, "none", "textcnn", [1, 2, 3]),
        ({"model_type": "wide_textcnn", "pooler": "mean"}, "none", "mean", [1, 2, 3]),
        ({"model_type": "textcnn"}, "none", "textcnn", []),
        ({"model_type": "bilstm"}, "lstm", "max", []),
        ({"model_type": "bigru", "pooler": "mean", "ngram_sizes": "1"}, "gru", "mean", [1]),
    ],
)
def test_from_scratch_recipes(flags, rnn, pooler, ngram_sizes):
    model = load(None, task(columns=COLUMNS), embedding_size=10, rnn_hidden_size=4, ngram_buckets=20, **flags)
    encoder = model.config.encoder_config
    assert (encoder.rnn, model.config.pooler, model.config.ngram_sizes) == (rnn, pooler, ngram_sizes)
    assert (encoder.embedding_size, encoder.vocab_size) == (10, VOCAB_SIZE)
    assert (model.wide is not None) == bool(ngram_sizes)
    assert not ngram_sizes or model.wide.table.weight.shape == (21, 3)
    assert model(**batch(columns=COLUMNS)).logits.isfinite().all()


def test_ngrams_alone_bring_our_model_above_a_pretrained_encoder(tmp_path):
    source = saved(tmp_path).state_dict()
    poison()
    model = load(tmp_path, ngram_sizes="1,2", ngram_buckets=20)
    assert isinstance(model, ExtForSequenceClassification)
    assert (model.config.pooler, model.config.ngram_sizes) == ("cls", [1, 2])
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.encoder.state_dict().items())
    assert (model.wide.table.weight == 0).all()
    assert model(**batch()).logits.isfinite().all()
    assert not isinstance(load(tmp_path, ngram_sizes=""), ExtForSequenceClassification)


def test_saved_model_keeps_its_ngrams_and_refuses_others(tmp_path):
    ours = build(encoder_config("bert"), ngram_sizes="1,2", ngram_buckets=20)
    torch.nn.init.normal_(ours.wide.table.weight)
    ours.save_pretrained(tmp_path / "wide")
    build(encoder_config("bert")).save_pretrained(tmp_path / "plain")
    for flags in ({}, {"ngram_sizes": "2,1"}):
        assert torch.equal(load(tmp_path / "wide", **flags).wide.table.weight, ours.wide.table.weight)
    for name, wanted, message in (
        ("wide", "2", "trained with n-grams of the sizes 1,2, not 2; leave --ngram_sizes away"),
        ("wide", "", "trained with n-grams of the sizes 1,2, not none"),
        ("plain", "1,3", "trained with n-grams of the sizes none, not 1,3"),
    ):
        with pytest.raises(ValueError, match=message):
            load(tmp_path / name, ngram_sizes=wanted)
    assert load(tmp_path / "plain", ngram_sizes="").wide is None


def test_ngram_flags_that_make_no_sense_are_named():
    with pytest.raises(ValueError, match=r"--ngram_sizes takes positive integers .* got '0,2'"):
        arguments(ngram_sizes="0,2")
    with pytest.raises(ValueError, match="ngram_buckets must be at least 1, got 0"):
        load(None, ngram_buckets=0)


def test_from_scratch_refusals():
    with pytest.raises(ValueError, match="--model_type bilstm and --rnn gru contradict"):
        load(None, model_type="bilstm", rnn="gru")
    with pytest.raises(ValueError, match="built in float32, not bfloat16"):
        load(None, dtype="bfloat16")
    with pytest.raises(ValueError, match="needs vocab_size"):
        load_sequence_classifier(arguments(), task())
    with pytest.raises(ValueError, match="--config_name says nothing without --model_name_or_path"):
        load(None, config_name="somewhere")
    assert load_config(arguments()) is None


@pytest.mark.parametrize("recipe", SCRATCH_MODELS)
def test_same_flags_load_what_they_trained_from_scratch(recipe, tmp_path):
    schema = task(columns=COLUMNS)
    trained = load(None, schema, model_type=recipe, attn_implementation="sdpa").eval()
    if trained.wide is not None:
        torch.nn.init.normal_(trained.wide.table.weight)
    trained.save_pretrained(tmp_path)
    loaded = load(tmp_path, schema, model_type=recipe, attn_implementation="sdpa")
    assert torch.equal(loaded(**batch(columns=COLUMNS)).logits, trained(**batch(columns=COLUMNS)).logits)


def test_saved_model_of_ours_comes_back_as_itself(tmp_path):
    schema = task(columns=COLUMNS)
    ours = build(encoder_config("roberta"), schema, pooler="textcnn", fusion="attention", classifier_hidden_sizes="6")
    ours.save_pretrained(tmp_path)
    loaded = load(tmp_path, schema)
    assert loaded.config.pooler == "textcnn"
    assert torch.equal(loaded(**batch(columns=COLUMNS)).logits, ours(**batch(columns=COLUMNS)).logits)
    with pytest.raises(ValueError, match="trained with pooler textcnn, not mean"):
        load(tmp_path, schema, pooler="mean")
    with pytest.raises(ValueError, match="columns of this run are not those"):
        load(tmp_path, task(columns=TabularSchema(numeric=COLUMNS.numeric)))


@pytest.mark.parametrize("ours", [False, True])
def test_other_number_of_labels_is_one_line_with_both_counts(ours, tmp_path):
    if ours:
        schema = task(("a", "b", "c", "d"))
        build(encoder_config("bert"), schema, ngram_sizes="1", ngram_buckets=7).save_pretrained(tmp_path)
    else:
        saved(tmp_path, kind="sequences", num_labels=4)
    with pytest.raises(ValueError, match="has 4 labels, but the data has 3") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    model = load(tmp_path, ignore_mismatched_sizes=True)
    assert model(**batch()).logits.shape == (4, 3)
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_head_of_another_size_is_found_even_if_the_config_does_not_name_it(tmp_path):
    saved(tmp_path, kind="sequences", num_labels=4)
    change_config(tmp_path, architectures=None)
    with pytest.raises(ValueError, match=r"classifier.\w+ has shape \(4.*\) in .* this run needs \(3"):
        load(tmp_path)


def test_head_with_other_label_names_is_mentioned(tmp_path, caplog):
    labels = {0: "good", 1: "bad"}
    saved(tmp_path, kind="sequences", id2label=labels, label2id={name: i for i, name in labels.items()})
    with caplog.at_level(logging.WARNING, logger="hf_ext"):
        load(tmp_path, task(("bad", "good")))
    assert "trained for the labels good, bad" in caplog.text


def test_one_label_is_no_task(tmp_path):
    saved(tmp_path)
    with pytest.raises(ValueError, match=r"needs at least two labels, got \['only'\]"):
        load(tmp_path, task(("only",)))
    assert load(tmp_path, TaskSchema(labels=LabelSchema(MULTI_LABEL, ("only",)))).num_labels == 1


@pytest.mark.parametrize("stock", [False, True])
@pytest.mark.parametrize("kind", ["plain", "masked_lm"])
def test_missing_encoder_weight_is_an_error(stock, kind, tmp_path):
    saved(tmp_path, kind=kind)
    file = tmp_path / "model.safetensors"
    weights = {name: tensor for name, tensor in load_file(file).items() if "layer.1.output.dense" not in name}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 2 weights of its .* encoder .*bert.encoder.layer.1.output.dense.bias"):
        load(tmp_path, **({} if stock else {"pooler": "mean"}))


def test_encoder_weight_of_another_size_is_an_error_whatever_the_flag(tmp_path):
    saved(tmp_path)
    change_config(tmp_path, vocab_size=VOCAB_SIZE + 3)
    for flags in ({}, {"ignore_mismatched_sizes": True}, {"pooler": "cls"}):
        with pytest.raises(ValueError, match=r"lacks 1 weights .* bert.embeddings.word_embeddings.weight"):
            load(tmp_path, **flags)


def test_fresh_head_is_one_info_line_and_no_table(tmp_path, caplog):
    saved(tmp_path)
    with caplog.at_level(logging.INFO):
        load(tmp_path)
        load(tmp_path, pooler="gru")
    assert "LOAD REPORT" not in caplog.text
    lines = [record.getMessage() for record in caplog.records if "start fresh" in record.getMessage()]
    assert len(lines) == 2
    assert lines[0] == "2 weights start fresh: classifier.bias, classifier.weight"


def test_attention_kernel_is_passed_on(tmp_path):
    saved(tmp_path)
    assert load(tmp_path, attn_implementation="eager").config._attn_implementation == "eager"
    model = load(tmp_path, attn_implementation="eager", pooler="mean")
    assert model.encoder.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./x", r"'./x' is not a folder here"),
        ("../a/b/c", r"'../a/b/c' is not a folder here"),
        ("no-such-model", r"'no-such-model' is not a folder here and the Hub cannot be reached"),
        ("some/model", r"'some/model' is not a folder here and the Hub cannot be reached"),
        ("spaces in it", r"'spaces in it' is not a folder here, and the Hub has no such model"),
        ("", r"'' is not a folder here"),
    ],
)
def test_wrong_place_is_one_line(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_config(arguments(model_name_or_path=name))
    assert "\n" not in str(caught.value)


def test_folder_that_holds_no_readable_model_is_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for name in ("torn", "unknown", "no_weights", "torn_weights"):
        saved(tmp_path / name)
    (tmp_path / "torn" / "config.json").write_text('{"model_type": ')
    change_config(tmp_path / "unknown", model_type="never_heard_of")
    (tmp_path / "no_weights" / "model.safetensors").unlink()
    (tmp_path / "torn_weights" / "model.safetensors").write_bytes(b"\x10")
    for name, message in {
        "empty": "has no config.json",
        "file": "is a file; a model is the folder",
        "torn": "the configuration in .* cannot be loaded: .* not a valid JSON",
        "unknown": "the configuration in .* cannot be loaded: .*never_heard_of",
        "no_weights": "the weights in .* cannot be loaded",
        "torn_weights": "the weights in .* cannot be loaded",
    }.items():
        with pytest.raises(ValueError, match=message) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_kernel_the_family_lacks_is_one_line(tmp_path):
    saved(tmp_path, "xlnet")
    with pytest.raises(ValueError, match=r"the weights in .* does not support an attention implementation") as caught:
        load(tmp_path, attn_implementation="sdpa", pooler="mean")
    assert "\n" not in str(caught.value)


def test_recurrent_encoder_saved_alone_gets_a_head_like_any_other(tmp_path):
    encoder = AutoModel.from_config(recurrent_config(rnn="gru"))
    encoder.save_pretrained(tmp_path)
    model = load(tmp_path, pooler="max")
    source = encoder.state_dict()
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.encoder.state_dict().items())
