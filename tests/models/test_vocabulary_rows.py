"""Rows of new tokens: the mean of their pieces in every table; what was there stays bit by bit and reloads."""

from __future__ import annotations

import pytest
import torch
from masked_models import FAMILIES, MODELS, Vocabulary, build_masked_model, masked_batch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining

from hf_ext.models.masked_head import project_masked_only
from hf_ext.models.vocabulary_rows import extend_embeddings, vocabulary_weights

PIECES = {"t40": [7, 8], "t41": [9], "t42": [7, 7, 10]}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("family", "pairs"), MODELS)
def test_new_rows_are_means_and_old_ones_stay(family, pairs, tied):
    model = build_masked_model(family, pairs=pairs, tie_word_embeddings=tied)
    before = [weight.detach().clone() for weight in vocabulary_weights(model)]
    assert len(before) == (2 if tied else 3)
    assert extend_embeddings(model, Vocabulary(43), PIECES) == [40, 41, 42]
    after = vocabulary_weights(model)
    assert model.config.vocab_size == 43
    assert [weight.shape[0] for weight in after] == [43] * len(after)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(new[:40], old)
        for token, pieces in PIECES.items():
            torch.testing.assert_close(new[int(token[1:])], sum(old[i] for i in pieces) / len(pieces))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("family", "pairs"), MODELS)
def test_the_extended_model_reloads_and_trains(family, pairs, tied, tmp_path):
    model = build_masked_model(family, pairs=pairs, tie_word_embeddings=tied).eval()
    extend_embeddings(model, Vocabulary(43), PIECES, multiple_of=8)
    project_masked_only(model)
    model.save_pretrained(tmp_path)
    auto = AutoModelForPreTraining if pairs else AutoModelForMaskedLM
    loaded, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert loaded.config.vocab_size == 48
    inputs = {"input_ids": torch.tensor([[40, 7, 42, 39]])}
    assert torch.equal(loaded.eval()(**inputs)[0], model(**inputs)[0])
    model(**masked_batch(pairs=pairs)).loss.backward()
    assert all(weight.grad is not None for weight in vocabulary_weights(model))
    encoder = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(encoder.get_input_embeddings().weight, model.get_input_embeddings().weight)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_fill_up_never_win_and_never_count(family):
    model = build_masked_model(family).eval()
    inputs = {"input_ids": torch.arange(5, 40).reshape(5, 7)}
    with torch.no_grad():
        before = model(**inputs).logits
        extend_embeddings(model, Vocabulary(40), {}, multiple_of=64)
        after = model(**inputs).logits
    assert torch.equal(after[..., :40], before)
    torch.testing.assert_close(after.logsumexp(-1), before.logsumexp(-1), rtol=0, atol=0)
    assert after.argmax(-1).max() < 40


def test_without_a_bias_rows_that_fill_up_score_the_mean_of_the_others():
    model = build_masked_model("modernbert", decoder_bias=False).eval()
    extend_embeddings(model, Vocabulary(40), {}, multiple_of=64)
    scores = model(input_ids=torch.arange(5, 40).reshape(5, 7)).logits
    torch.testing.assert_close(scores[..., 40:], scores[..., :40].mean(-1, keepdim=True).expand(-1, -1, 24))
    assert scores.argmax(-1).max() < 40


def test_rows_that_the_model_had_to_spare_are_filled_too():
    model = build_masked_model("bert")
    before = model.get_input_embeddings().weight.detach().clone()
    assert extend_embeddings(model, Vocabulary(39), {"t37": [5], "t38": [6, 5]}) == [37, 38]
    table = model.get_input_embeddings().weight
    assert table.shape == before.shape
    assert torch.equal(table[[*range(37), 39]], before[[*range(37), 39]])
    torch.testing.assert_close(table[38], (before[5] + before[6]) / 2)


def test_a_token_without_pieces_is_drawn_where_the_old_ones_lie():
    model = build_masked_model("bert", hidden_size=64)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(0.5).add_(3.0)
        model.get_output_embeddings().bias.fill_(0.25)
    torch.manual_seed(1)
    extend_embeddings(model, Vocabulary(440), {f"t{i}": [] for i in range(40, 240)})  # 240 and up are in no list
    table = model.get_input_embeddings().weight.detach()
    for rows in (table[40:240], table[240:]):
        torch.testing.assert_close(rows.mean(), table[:40].mean(), rtol=0.01, atol=0)
        torch.testing.assert_close(rows.std(0).mean(), table[:40].std(0).mean(), rtol=0.1, atol=0)
    assert (model.get_output_embeddings().bias[40:] == 0.25).all()


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_padding_keeps_its_row_and_gets_no_gradient_from_reading(family):
    model = build_masked_model(family, tie_word_embeddings=False)
    padding = model.config.pad_token_id
    extend_embeddings(model, Vocabulary(43), PIECES)
    table = model.get_input_embeddings()
    assert table.padding_idx == padding
    model(input_ids=torch.tensor([[padding, 7, 40]])).logits.sum().backward()
    assert not table.weight.grad[padding].any()
    assert table.weight.grad[40].any()


def test_a_vocabulary_that_fits_changes_nothing():
    model = build_masked_model("bert")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert extend_embeddings(model, Vocabulary(40), {}, multiple_of=8) == []
    assert extend_embeddings(model, Vocabulary(30), {}) == []  # never cut
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_half_precision_rows_are_averaged_in_float32():
    model = build_masked_model("bert", dtype=torch.float16)
    old = model.get_input_embeddings().weight.detach().clone()
    extend_embeddings(model, Vocabulary(41), {"t40": [5, 6, 7]}, multiple_of=8)
    table = model.get_input_embeddings().weight
    assert table.dtype == torch.float16
    assert torch.equal(table[40], old[[5, 6, 7]].float().mean(0).half())
    assert model.get_output_embeddings().bias.isfinite().all()


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ({"new": [3]}, "'new' is not a token"),
        ({"t40": [3, 41], "t41": [4]}, "41"),
        ({"t40": [99]}, "99"),
        ({"t40": [-1]}, "-1"),
    ],
)
def test_pieces_have_to_be_old_tokens(pieces, message):
    with pytest.raises(ValueError, match=message):
        extend_embeddings(build_masked_model("bert"), Vocabulary(42), pieces)
