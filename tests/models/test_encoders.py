from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoConfig, AutoModel

from hf_ext.models.encoders import RecurrentEncoder, RecurrentEncoderConfig, set_word_vectors

VOCAB, WIDTH = 30, 6


def config(**overrides: object) -> RecurrentEncoderConfig:
    tiny = {
        "vocab_size": VOCAB,
        "embedding_size": WIDTH,
        "embedding_dropout": 0.0,
        "rnn_hidden_size": 4,
    }
    return RecurrentEncoderConfig(**{**tiny, **overrides})


def make(**overrides: object) -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(config(**overrides)).double().eval()


KINDS = {
    "plain": {},
    "lstm": {"rnn": "lstm", "rnn_layers": 2},
    "gru": {"rnn": "gru"},
}


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def encoder(kind) -> RecurrentEncoder:
    return make(**KINDS[kind])


def batch(texts: list[list[int]], *, side: str = "right", width: int | None = None) -> tuple[Tensor, Tensor]:
    width = width or max(map(len, texts))
    ids, mask = [], []
    for text in texts:
        pad = [0] * (width - len(text))
        ids.append(text + pad if side == "right" else pad + text)
        mask.append([1] * len(text) + pad if side == "right" else pad + [1] * len(text))
    return torch.tensor(ids), torch.tensor(mask)


TEXTS = [[5, 9, 5, 2], [7], [3, 3, 3, 3, 3, 8], [11, 5, 9]]


# --- oracles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["right", "left"])
def test_encoder_equals_its_definition_on_each_text_alone(encoder, side):
    ids, mask = batch(TEXTS, side=side, width=8)
    states = encoder(ids, mask).last_hidden_state
    for row, text in enumerate(TEXTS):
        expected = torch.stack([encoder.embeddings.weight[token] for token in text])
        if encoder.rnn is not None:
            expected = encoder.rnn(expected.unsqueeze(0))[0][0]
        torch.testing.assert_close(states[row, mask[row].bool()], expected)
        assert (states[row, ~mask[row].bool()] == 0).all()


# --- invariants ----------------------------------------------------------------------------------------------------


@given(
    texts=st.lists(st.lists(st.integers(1, VOCAB - 1), min_size=1, max_size=6), min_size=1, max_size=4),
    extra=st.integers(0, 5),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("name", KINDS)
def test_padding_never_changes_a_token_vector(name, texts, extra):
    encoder = make(**KINDS[name])
    ids, mask = batch(texts)
    expected = encoder(ids, mask).last_hidden_state[mask.bool()]
    for side in ("right", "left"):
        ids, mask = batch(texts, side=side, width=max(map(len, texts)) + extra)
        found = encoder(ids, mask).last_hidden_state[mask.bool()]
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_rows_do_not_depend_on_their_neighbours(encoder):
    ids, mask = batch(TEXTS)
    order = torch.tensor([2, 0, 3, 1])
    states = encoder(ids, mask).last_hidden_state
    torch.testing.assert_close(encoder(ids[order], mask[order]).last_hidden_state, states[order])


def test_missing_mask_is_read_from_the_padding_id(encoder):
    ids, mask = batch(TEXTS, side="left")
    assert torch.equal(encoder(ids).last_hidden_state, encoder(ids, mask).last_hidden_state)


def test_without_padding_id_every_token_is_real():
    encoder = make(pad_token_id=None)
    ids = torch.tensor([[4, 0, 0]])
    assert torch.equal(encoder(ids).last_hidden_state[0], encoder.embeddings.weight[ids[0]])


def test_masked_tokens_count_for_nothing_whatever_their_id(encoder):
    ids, mask = batch(TEXTS, width=9)
    other = torch.where(mask.bool(), ids, 17)
    states = encoder(other, mask).last_hidden_state
    assert torch.equal(states, encoder(ids, mask).last_hidden_state)
    assert (states[mask == 0] == 0).all()


def test_row_without_tokens_gives_zeros(encoder):
    states = encoder(torch.zeros(2, 3, dtype=torch.long), torch.tensor([[0, 0, 0], [1, 0, 0]])).last_hidden_state
    assert (states[0] == 0).all()
    assert states.isfinite().all()


def test_gradient_reaches_every_parameter(encoder):
    encoder.train()
    encoder(*batch(TEXTS)).last_hidden_state.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert (encoder.embeddings.weight.grad[0] == 0).all()


def test_given_vectors_equal_looked_up_ones(encoder):
    ids, mask = batch(TEXTS)
    found = encoder(ids, mask, inputs_embeds=encoder.embeddings(ids)).last_hidden_state
    torch.testing.assert_close(found, encoder(ids, mask).last_hidden_state)


def test_neither_ids_nor_vectors_is_refused(encoder):
    with pytest.raises(ValueError, match="needs input_ids or inputs_embeds"):
        encoder()


def test_activation_checkpointing_gives_the_same_gradients():
    plain = make(rnn="lstm").train()
    saving = copy.deepcopy(plain)
    saving.gradient_checkpointing_enable()
    assert saving.gradient_checkpointing
    for encoder in (plain, saving):
        encoder(*batch(TEXTS)).last_hidden_state.square().sum().backward()
    for expected, found in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)


def test_outputs_come_as_asked(encoder):
    ids, mask = batch(TEXTS)
    output = encoder(ids, mask, output_hidden_states=True)
    assert output.hidden_states[-1] is output.last_hidden_state
    assert output.hidden_states[0].shape == (4, 6, WIDTH)
    (states,) = encoder(ids, mask, return_dict=False)
    assert torch.equal(states, output.last_hidden_state)
    assert output.last_hidden_state.shape[-1] == encoder.config.hidden_size


def test_dropout_acts_in_training_only():
    encoder = make(embedding_dropout=0.5)
    ids, mask = batch(TEXTS)
    assert torch.equal(encoder(ids, mask).last_hidden_state, encoder(ids, mask).last_hidden_state)
    encoder.train()
    assert (encoder(ids, mask).last_hidden_state[mask.bool()] == 0).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_double(encoder, dtype):
    ids, mask = batch(TEXTS)
    found = copy.deepcopy(encoder).to(dtype)(ids, mask).last_hidden_state
    assert found.dtype is dtype
    torch.testing.assert_close(found.double(), encoder(ids, mask).last_hidden_state, atol=0.05, rtol=0.05)


# --- saving and loading --------------------------------------------------------------------------------------------


def poison() -> None:
    """Leave NaN in the memory that the allocator hands out next."""
    blocks = [torch.full((n,), float("nan")) for n in (4, 8, 12, 13, 14, 24, 48, 72, 84, 180) for _ in range(50)]
    del blocks


def test_config_comes_back_from_json(tmp_path, kind):
    written = config(**KINDS[kind])
    written.save_pretrained(tmp_path)
    read = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(read, RecurrentEncoderConfig)
    assert read.hidden_size == written.hidden_size
    ignored = {"_name_or_path", "transformers_version"}
    assert {k: v for k, v in read.to_dict().items() if k not in ignored} == {
        k: v for k, v in written.to_dict().items() if k not in ignored
    }


@pytest.mark.parametrize(("rnn", "hidden_size"), [("none", WIDTH), ("lstm", 8), ("gru", 8)])
def test_hidden_size_is_the_output_width(rnn, hidden_size):
    assert config(rnn=rnn).hidden_size == hidden_size


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_encoder_comes_back_bitwise(tmp_path, kind, dtype):
    encoder = make(**KINDS[kind]).to(dtype)
    encoder.save_pretrained(tmp_path)
    poison()
    loaded = AutoModel.from_pretrained(tmp_path, dtype=dtype)
    assert isinstance(loaded, RecurrentEncoder)
    assert not loaded.training
    ids, mask = batch(TEXTS)
    assert torch.equal(loaded(ids, mask).last_hidden_state, encoder(ids, mask).last_hidden_state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_weights_that_a_checkpoint_lacks_are_initialised(tmp_path, rnn, dtype):
    plain = make()
    plain.save_pretrained(tmp_path)
    poison()
    loaded, report = RecurrentEncoder.from_pretrained(
        tmp_path, config=config(rnn=rnn), dtype=dtype, output_loading_info=True
    )
    assert "rnn.weight_hh_l0" in report["missing_keys"]
    assert torch.equal(loaded.embeddings.weight, plain.embeddings.weight.to(dtype))
    for name, tensor in loaded.state_dict().items():
        assert tensor.isfinite().all(), name
        assert tensor.abs().max() < 10, name
    assert loaded.rnn.weight_hh_l0.abs().max() > 0


def test_fresh_vectors_have_the_asked_spread_and_a_zero_padding_row():
    torch.manual_seed(0)
    weight = RecurrentEncoder(config(vocab_size=2000, embedding_size=50)).embeddings.weight
    assert (weight[0] == 0).all()
    assert weight[1:].std().item() == pytest.approx(0.1, rel=0.02)


def test_resized_vocabulary_comes_back(tmp_path):
    encoder = make()
    encoder.resize_token_embeddings(VOCAB + 4)
    encoder.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert loaded.get_input_embeddings().weight.shape == (VOCAB + 4, WIDTH)
    assert loaded.config.vocab_size == VOCAB + 4


def test_unknown_recurrent_layer_is_named():
    with pytest.raises(ValueError, match="rnn must be one of none, lstm, gru; got 'rnn'"):
        config(rnn="rnn")


# --- given word vectors --------------------------------------------------------------------------------------------


def test_word_vectors_replace_their_rows_only():
    encoder = make()
    before = encoder.embeddings.weight.detach().clone()
    set_word_vectors(encoder, {3: [1.0] * WIDTH, 7: torch.arange(WIDTH).tolist()})
    assert encoder.embeddings.weight[3].tolist() == [1.0] * WIDTH
    assert encoder.embeddings.weight[7].tolist() == [float(i) for i in range(WIDTH)]
    others = [row for row in range(VOCAB) if row not in (3, 7)]
    assert torch.equal(encoder.embeddings.weight[others], before[others])
    assert encoder.embeddings.weight.requires_grad
    assert encoder.embeddings.weight.is_leaf


def test_padding_row_stays_zero_under_word_vectors():
    encoder = make()
    set_word_vectors(encoder, {0: [1.0] * WIDTH})
    assert (encoder.embeddings.weight[0] == 0).all()


def test_no_word_vectors_change_nothing():
    encoder = make()
    before = encoder.embeddings.weight.detach().clone()
    set_word_vectors(encoder, {})
    assert torch.equal(encoder.embeddings.weight, before)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({VOCAB: [0.0] * WIDTH}, f"token id {VOCAB} is not a row of the token table, which has {VOCAB} rows"),
        ({-1: [0.0] * WIDTH}, "token id -1 is not a row"),
        ({4: [0.0] * 3}, f"token id 4 has 3 numbers; the table holds {WIDTH}"),
        ({2: [0.0] * WIDTH, 4: [float("nan")] * WIDTH}, "token id 4 holds a non-finite number"),
    ],
)
def test_wrong_word_vectors_are_named_and_nothing_is_written(vectors, message):
    encoder = make()
    before = encoder.embeddings.weight.detach().clone()
    with pytest.raises(ValueError, match=message):
        set_word_vectors(encoder, vectors)
    assert torch.equal(encoder.embeddings.weight, before)
