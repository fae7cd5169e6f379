"""ExtForJointClassification: two losses over their own items, one encoder."""

from __future__ import annotations

import pytest
import torch
from model_factories import FAMILIES, encoder_config, poison, recurrent_config
from tagger_factories import SENTENCE_LABELS, arguments, batch, build, padded, schema
from transformers import AutoModel

from hf_ext.models.configuration import ExtConfig
from hf_ext.models.item_mean import mean_cross_entropy
from hf_ext.models.joint_classification import ExtForJointClassification
from hf_ext.models.tagger_loading import load_tagger

POOLERS = ["cls", "mean", "max", "attention"]


def make(config=None, **flags):
    return build(config or recurrent_config(rnn="lstm"), joint=True, **{"decoder": "crf", **flags})


@pytest.mark.parametrize("decoder", ["softmax", "crf"])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_loss_weighs_the_means_over_sentences_and_over_words(decoder, alpha):
    model = make(decoder=decoder).double()
    model.config.multitask_alpha = alpha
    inputs = batch(joint=True)
    output = model(**inputs)
    labels, words = inputs["sentence_labels"], (inputs["labels"] != -100).sum()
    kept = labels != -100
    logs = output.sentence_logits.log_softmax(-1)[kept]
    sentences = -sum(logs[i, label] for i, label in enumerate(labels[kept])) / kept.sum()
    tagger = build(recurrent_config(rnn="lstm"), decoder=decoder, seed=9).double()
    tagger.load_state_dict({name: value for name, value in model.state_dict().items() if "sentence" not in name})
    tags = tagger(**{name: value for name, value in inputs.items() if name != "sentence_labels"})
    torch.testing.assert_close(output.sentence_loss, sentences)
    torch.testing.assert_close(output.tag_loss, tags.loss)
    torch.testing.assert_close(output.loss, alpha * sentences + (1 - alpha) * tags.loss)
    assert torch.equal(output.tags, tags.tags)
    scaled = model(**inputs, num_items_in_batch=2 * words, num_rows_in_batch=5.0 * kept.sum())
    torch.testing.assert_close(scaled.tag_loss, output.tag_loss / 2)
    torch.testing.assert_close(scaled.sentence_loss, output.sentence_loss / 5)


@pytest.mark.parametrize("pooler", POOLERS)
@pytest.mark.parametrize("head_rnn", ["none", "gru"])
def test_sentence_scores_do_not_depend_on_padding(pooler, head_rnn):
    model = make(pooler=pooler, head_rnn=head_rnn).double()
    inputs = batch(joint=True, rows=5)
    expected = model(**inputs).sentence_logits
    assert expected.shape == (5, len(SENTENCE_LABELS))
    torch.testing.assert_close(model(**padded(inputs, 3)).sentence_logits, expected)
    alone = [model(**{name: value[i : i + 1] for name, value in inputs.items()}).sentence_logits for i in range(5)]
    torch.testing.assert_close(torch.cat(alone), expected)


def test_cls_reads_the_first_token_and_the_others_read_the_words():
    inputs = batch(joint=True)
    changed = {**inputs, "word_mask": inputs["word_mask"].clone()}
    changed["word_mask"][0] = 0
    same = {}
    for pooler in ("cls", "mean"):
        model = make(encoder_config("bert"), pooler=pooler)
        same[pooler] = torch.equal(model(**inputs).sentence_logits[0], model(**changed).sentence_logits[0])
    assert same == {"cls": True, "mean": False}


def test_outputs_come_in_the_promised_order():
    model, inputs = make(), batch(joint=True)
    model.wants_probabilities = True
    names = ["tags", "tag_probabilities", "chain_probabilities", "sentence_logits"]
    assert list(model(**inputs)) == ["loss", *names, "sentence_loss", "tag_loss", "logits"]
    ignored = set(model.config.keys_to_ignore_at_inference)
    assert [name for name in model(**inputs) if name not in ignored] == ["loss", *names]
    assert list(model.train()(**inputs)) == ["loss", "sentence_logits", "sentence_loss", "tag_loss", "logits"]


def test_there_is_a_loss_only_where_both_kinds_of_labels_came():
    model, inputs = make(), batch(joint=True)
    for missing in ("labels", "sentence_labels"):
        output = model(**{name: value for name, value in inputs.items() if name != missing})
        assert "loss" not in output
        assert output.tags.shape == inputs["input_ids"].shape


def test_no_label_at_all_gives_zero_and_a_gradient_of_zero():
    model, inputs = make(), batch(joint=True)
    inputs["labels"].fill_(-100)
    inputs["sentence_labels"].fill_(-100)
    loss = model(**inputs).loss
    loss.backward()
    assert loss == 0
    assert not any(weight.grad.any() for weight in model.parameters() if weight.grad is not None)
    assert mean_cross_entropy(torch.randn(2, 3), torch.tensor([-100, -100])) == 0


@pytest.mark.parametrize("encoder", [*FAMILIES, "scratch"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_saved_and_loaded_answers_are_bitwise_equal(encoder, dtype, tmp_path):
    config = recurrent_config(rnn="gru") if encoder == "scratch" else encoder_config(encoder)
    make(config, head_rnn="lstm", pooler="mean").save_pretrained(tmp_path / "float32")
    place = {"model_name_or_path": str(tmp_path / "float32"), "dtype": dtype}
    model = load_tagger(arguments(**place), schema(joint=True)).eval()
    model.save_pretrained(tmp_path / "again")
    poison()
    place["model_name_or_path"] = str(tmp_path / "again")
    loaded = load_tagger(arguments(**place), schema(joint=True)).eval()
    assert type(loaded) is ExtForJointClassification
    inputs = batch(joint=True)
    found, again = model(**inputs), loaded(**inputs)
    for name in ("loss", "tags", "sentence_logits", "logits"):
        assert torch.equal(found[name], again[name]), name
    assert loaded.config.multitask_alpha == 0.5


@pytest.mark.parametrize("pooler", POOLERS)
def test_a_fresh_head_on_a_plain_checkpoint_is_initialised_whatever_the_memory_held(pooler, tmp_path):
    AutoModel.from_config(encoder_config("bert")).save_pretrained(tmp_path)
    poison()
    flags = {"model_name_or_path": str(tmp_path), "pooler": pooler, "decoder": "crf", "head_rnn": "gru"}
    model = load_tagger(arguments(**flags), schema(joint=True)).train()
    assert all(weight.isfinite().all() and weight.abs().max() < 10 for weight in model.parameters())
    assert model.sentence_layer.weight.abs().max() > 0.2  # Glorot's, not the 0.02 of the encoders
    model(**batch(joint=True)).loss.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_a_config_without_sentence_labels_is_refused():
    with pytest.raises(ValueError, match="needs the sentence labels of a tagging schema"):
        ExtForJointClassification(ExtConfig(encoder_config=recurrent_config(), tag_decoder="crf"))


def test_trainer_is_told_what_the_losses_are_means_over():
    assert ExtForJointClassification.counts_rows
    assert ExtForJointClassification.named_losses == {"sentence_loss": "sentence_labels", "tag_loss": "labels"}
    model = make()
    model.config.multitask_alpha = 0.25
    assert model.join_losses({"sentence_loss": 4.0, "tag_loss": 8.0}) == 7.0
