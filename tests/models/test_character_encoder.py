"""Character encoders: the vector of a word is that of its characters, whatever stands beside it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hf_ext.models.character_encoder import CHARACTER_ENCODERS, build_character_encoder, fit_words

KINDS = list(CHARACTER_ENCODERS)
IDS = torch.tensor([[[2, 3, 4, 5], [6, 1, 0, 0], [0, 0, 0, 0]], [[3, 0, 0, 0], [2, 3, 4, 0], [5, 5, 5, 5]]])


def build(kind, dropout=0.0):
    torch.manual_seed(0)
    return build_character_encoder(kind, 7, embedding_size=4, hidden_size=3, dropout=dropout).double()


def by_hand(encoder, kind, ids):
    """Compute the vector of one word, character by character."""
    vectors = encoder.table.weight[ids]  # (C, E)
    if kind == "lstm":
        states, _ = encoder.rnn(vectors.unsqueeze(0))
        half = states.shape[-1] // 2
        return torch.cat([states[0, -1, :half], states[0, 0, half:]])
    zero = torch.zeros(1, vectors.shape[1], dtype=vectors.dtype)
    around = torch.cat([zero, vectors, zero])
    layer = encoder.convolution
    places = [
        torch.stack([(layer.weight[f] * around[i : i + 3].T).sum() + layer.bias[f] for f in range(layer.out_channels)])
        for i in range(len(ids))
    ]
    return torch.stack(places).max(0).values


@pytest.mark.parametrize("kind", KINDS)
def test_the_vector_of_a_word_is_that_of_its_characters_alone(kind):
    encoder = build(kind)
    found = encoder(IDS)
    assert found.shape == (2, 3, encoder.output_size)
    for row, word in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2)):
        ids = IDS[row, word]
        torch.testing.assert_close(found[row, word], by_hand(encoder, kind, ids[ids != 0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_without_characters_is_zero_and_padding_changes_nothing(kind):
    encoder = build(kind)
    found = encoder(IDS)
    assert not found[0, 2].any()
    torch.testing.assert_close(encoder(nn.functional.pad(IDS, (0, 3, 0, 2)))[:, :3], found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 0, 4), (2, 3, 0)])
def test_a_batch_without_words_or_characters_has_zero_vectors(kind, shape):
    encoder = build(kind)
    assert (
        encoder(torch.zeros(shape, dtype=torch.long)).tolist() == torch.zeros(*shape[:2], encoder.output_size).tolist()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_weight_but_that_of_padding(kind):
    encoder = build(kind)
    encoder(IDS).square().sum().backward()
    assert all(weight.grad.isfinite().all() and weight.grad.any() for weight in encoder.parameters())
    assert not encoder.table.weight.grad[0].any()


def test_tables_start_within_the_bound_of_the_paper():
    table = build("cnn").table
    bound = math.sqrt(3 / 4)
    assert not table.weight[0].any()
    assert 0.5 * bound < table.weight.abs().max() <= bound


def test_none_is_none_and_an_unknown_name_is_answered_with_the_known_ones():
    assert build_character_encoder("none", 7, embedding_size=4, hidden_size=3, dropout=0.0) is None
    with pytest.raises(ValueError, match="none or one of cnn, lstm; got 'gru'"):
        build_character_encoder("gru", 7, embedding_size=4, hidden_size=3, dropout=0.0)


@pytest.mark.parametrize("words", [2, 3, 5])
def test_words_are_filled_up_with_zeros_or_cut_off_on_the_right(words):
    vectors = torch.arange(1.0, 13).reshape(2, 3, 2)
    found = fit_words(vectors, words)
    kept = min(words, 3)
    assert found.shape == (2, words, 2)
    assert torch.equal(found[:, :kept], vectors[:, :kept])
    assert not found[:, kept:].any()
