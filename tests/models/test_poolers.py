from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hf_ext.models.packing import build_rnn, init_weights, left_order, run_packed
from hf_ext.models.poolers import POOLERS, SequencePooler, build_pooler

HIDDEN = 5
SETTINGS = {
    "filter_num": 4,
    "filter_sizes": [2, 3, 6],
    "lstm_hidden_size": 3,
    "lstm_layers": 2,
    "lstm_dropout": 0.0,
    "gru_hidden_size": 3,
    "gru_layers": 2,
    "gru_dropout": 0.0,
}
# One row a member: name and settings that differ. A new pooler is one more row here and one reference below.
MEMBERS = {
    "cls": {},
    "cls_last": {"cls_position": "last"},
    "mean": {},
    "max": {},
    "attention": {},
    "textcnn": {},
    "lstm": {},
    "gru": {},
}


def make(member: str, **overrides: object) -> SequencePooler:
    torch.manual_seed(0)
    return build_pooler(member.split("_")[0], HIDDEN, {**SETTINGS, **MEMBERS[member], **overrides}).double().eval()


@pytest.fixture(params=MEMBERS)
def member(request) -> str:
    return request.param


@pytest.fixture
def pooler(member) -> SequencePooler:
    return make(member)


def batch(lengths: list[int], *, side: str = "right", width: int | None = None) -> tuple[Tensor, Tensor]:
    """Give states that depend on the text alone and a mask; garbage at padding."""
    generator = torch.Generator().manual_seed(1)
    texts = [torch.randn(length, HIDDEN, generator=generator, dtype=torch.float64) for length in lengths]
    width = width or max(lengths)
    states = torch.full((len(lengths), width, HIDDEN), 99.0, dtype=torch.float64)
    mask = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, text in enumerate(texts):
        place = slice(0, len(text)) if side == "right" else slice(width - len(text), width)
        states[row, place], mask[row, place] = text, 1
    return states, mask


# --- oracles: each text alone, in plain Python ---------------------------------------------------------------------


def window_reference(pooler: SequencePooler, text: Tensor) -> Tensor:
    """Slide every filter by hand over the text with ``k - 1`` zero vectors on both ends."""
    pooled = []
    for convolution in pooler.convolutions:
        size = convolution.kernel_size[0]
        edge = torch.zeros(size - 1, HIDDEN, dtype=text.dtype)
        padded = torch.cat([edge, text, edge])
        weight = convolution.weight  # (filters, H, size)
        answers = [
            torch.stack([(weight[f] * padded[i : i + size].T).sum() for f in range(len(weight))]) + convolution.bias
            for i in range(len(padded) - size + 1)
        ]
        pooled.append(torch.stack(answers).relu().max(0).values)
    return torch.cat(pooled)


def attention_reference(pooler: SequencePooler, text: Tensor) -> Tensor:
    scores = [torch.tanh(pooler.projection(token)) @ pooler.context.weight[0] for token in text]
    total = sum(score.exp() for score in scores)
    return sum(score.exp() / total * token for score, token in zip(scores, text, strict=True))


def recurrent_reference(pooler: SequencePooler, text: Tensor) -> Tensor:
    """Read one unpadded text: forward state after its last token, backward state after its first."""
    states = pooler.rnn(text.unsqueeze(0))[0][0]  # (T, 2 * units)
    units = pooler.rnn.hidden_size
    return torch.cat([states[-1, :units], states[0, units:]])


REFERENCES = {
    "cls": lambda pooler, text: text[0],
    "cls_last": lambda pooler, text: text[-1],
    "mean": lambda pooler, text: sum(text) / len(text),
    "max": lambda pooler, text: text.max(0).values,
    "attention": attention_reference,
    "textcnn": window_reference,
    "lstm": recurrent_reference,
    "gru": recurrent_reference,
}


@pytest.mark.parametrize("side", ["right", "left"])
def test_pooler_equals_its_definition_on_each_text_alone(pooler, member, side):
    lengths = [4, 1, 7, 2]
    states, mask = batch(lengths, side=side, width=9)
    pooled = pooler(states, mask)
    for row, (states_row, mask_row) in enumerate(zip(states, mask.bool(), strict=True)):
        torch.testing.assert_close(pooled[row], REFERENCES[member](pooler, states_row[mask_row]))


def test_every_pooler_has_a_row_and_a_reference():
    assert {name.split("_")[0] for name in MEMBERS} == set(POOLERS)
    assert set(REFERENCES) == set(MEMBERS)


# --- the contract of the family ------------------------------------------------------------------------------------


def test_output_has_the_promised_width(pooler):
    assert pooler(*batch([3, 1])).shape == (2, pooler.output_size)


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    extra=st.integers(0, 7),
    side=st.sampled_from(["right", "left"]),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("name", MEMBERS)
def test_padding_never_changes_the_result(name, lengths, extra, side):
    pooler = make(name)
    expected = pooler(*batch(lengths))
    padded = pooler(*batch(lengths, side=side, width=max(lengths) + extra))
    torch.testing.assert_close(padded, expected, atol=1e-6, rtol=0)


def test_rows_do_not_depend_on_their_neighbours(pooler):
    states, mask = batch([4, 1, 7, 2])
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(pooler(states[order], mask[order]), pooler(states, mask)[order])
    torch.testing.assert_close(pooler(states[1:2], mask[1:2]), pooler(states, mask)[1:2])


def test_a_row_without_tokens_gives_zeros_and_no_gradient(pooler):
    states, mask = batch([3, 2])
    mask[1] = 0
    states.requires_grad_()
    pooled = pooler(states, mask)
    assert torch.equal(pooled[1], torch.zeros_like(pooled[1]))
    assert pooled[0].abs().sum() > 0
    pooled.sum().backward()
    assert torch.equal(states.grad[1], torch.zeros_like(states.grad[1]))


def test_nan_at_padding_reaches_neither_result_nor_gradient(pooler):
    states, mask = batch([3, 1, 2])
    mask[2] = 0
    states[mask == 0] = float("nan")
    pooled = pooler(states.requires_grad_(), mask)
    pooled.sum().backward()
    assert pooled.isfinite().all()
    assert states.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in pooler.parameters())


def test_gradient_reaches_every_parameter_and_no_padding(pooler):
    states, mask = batch([6, 3, 1])
    pooler(states.requires_grad_(), mask).square().sum().backward()
    assert (states.grad[mask == 0] == 0).all()
    assert (states.grad[mask == 1] != 0).any()
    for name, parameter in pooler.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("dtype", "scale"),
    # float16 ends at 65504, which any linear layer over values of 1e4 may pass
    [(torch.bfloat16, 1e-4), (torch.bfloat16, 1.0), (torch.bfloat16, 1e4), (torch.float16, 1e-4), (torch.float16, 1.0)],
)
def test_half_precision_stays_finite_and_near_double(member, dtype, scale):
    pooler = make(member)
    states, mask = batch([200, 3, 1])
    states, reduced = (states * scale).to(dtype), copy.deepcopy(pooler).to(dtype)
    states[mask == 0] = torch.finfo(dtype).max
    pooled = reduced(states, mask)
    assert pooled.dtype is dtype
    assert pooled.isfinite().all()
    expected = pooler(states.double(), mask)
    assert (pooled.double() - expected).abs().max() <= 0.05 * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize("kind", [torch.bool, torch.int32, torch.float32])
def test_mask_may_have_any_dtype(pooler, kind):
    states, mask = batch([3, 1])
    torch.testing.assert_close(pooler(states, mask.to(kind)), pooler(states, mask))


def test_autocast_gives_finite_results(member):
    pooler = make(member).float()
    states, mask = batch([5, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pooler(states.float(), mask)
    torch.testing.assert_close(pooled.float(), pooler(states.float(), mask), atol=0.05, rtol=0.05)


# --- members -------------------------------------------------------------------------------------------------------


def test_mean_of_many_large_values_does_not_overflow_half_precision():
    states = torch.full((1, 512, HIDDEN), 1000.0, dtype=torch.float16)
    pooled = build_pooler("mean", HIDDEN, {})(states, torch.ones(1, 512))
    assert torch.equal(pooled, torch.full((1, HIDDEN), 1000.0, dtype=torch.float16))


def test_max_keeps_negative_values():
    states = torch.tensor([[[-3.0], [-2.0], [5.0]]])
    assert build_pooler("max", 1, {})(states, torch.tensor([[1, 1, 0]])).item() == -2.0


def test_fresh_attention_with_zero_context_is_the_mean():
    pooler = make("attention")
    nn.init.zeros_(pooler.context.weight)
    states, mask = batch([4, 2])
    torch.testing.assert_close(pooler(states, mask), make("mean")(states, mask))


def test_textcnn_takes_a_text_shorter_than_its_widest_filter():
    pooler = make("textcnn", filter_sizes=[9])
    states, mask = batch([1])
    torch.testing.assert_close(pooler(states, mask)[0], window_reference(pooler, states[0]))


def test_textcnn_width_is_filters_times_sizes():
    assert make("textcnn", filter_num=7, filter_sizes=[1, 2, 3]).output_size == 21


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_recurrent_pooler_reads_its_own_settings_and_warns_of_nothing(name, recwarn):
    pooler = build_pooler(name, HIDDEN, {f"{name}_hidden_size": 4, f"{name}_layers": 1, f"{name}_dropout": 0.5})
    assert (pooler.rnn.hidden_size, pooler.rnn.num_layers, pooler.output_size) == (4, 1, 8)
    assert not recwarn.list


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_recurrent_pooler_depends_on_word_order(name):
    pooler = make(name)
    states, mask = batch([5])
    assert not torch.allclose(pooler(states, mask), pooler(states.flip(1), mask))


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("cnn", {}, "unknown pooler 'cnn'; choose one of cls, mean, max, attention, textcnn, lstm, gru."),
        ("cls", {"cls_position": "middle"}, "cls_position must be first or last, got 'middle'."),
        ("textcnn", {"filter_sizes": []}, "at least one filter size"),
        ("textcnn", {"filter_sizes": [0]}, "at least one filter size"),
        ("textcnn", {"filter_num": 0}, "filter_num >= 1"),
    ],
)
def test_wrong_settings_are_named(name, overrides, message):
    with pytest.raises(ValueError) as error:
        build_pooler(name, HIDDEN, overrides)
    assert message in str(error.value)


# --- packing -------------------------------------------------------------------------------------------------------


@given(st.sampled_from([6, 700]), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_left_order_is_a_stable_partition(width, count, random):
    rows = [[random.random() < 0.5 for _ in range(width)] for _ in range(count)]
    for row, order in zip(rows, left_order(torch.tensor(rows).long()).tolist(), strict=True):
        real = [i for i, flag in enumerate(row) if flag]
        assert order == real + [i for i, flag in enumerate(row) if not flag]


@given(
    st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=4), st.sampled_from(["lstm", "gru"])
)
@settings(max_examples=30, deadline=None)
def test_packed_states_equal_each_compacted_row_alone(rows, kind):
    torch.manual_seed(0)
    rnn = build_rnn(kind, HIDDEN, 2, num_layers=2, dropout=0.0).double()
    mask = torch.tensor(rows)
    inputs = torch.randn(len(rows), 5, HIDDEN, dtype=torch.float64)
    states, final = run_packed(rnn, inputs, mask)
    for row, real in enumerate(mask):
        expected = torch.zeros(5, 4, dtype=torch.float64)
        if real.any():
            expected[real] = rnn(inputs[row, real].unsqueeze(0))[0][0]
            last_forward, first_backward = expected[real][-1, :2], expected[real][0, 2:]
            torch.testing.assert_close(final[row], torch.cat([last_forward, first_backward]))
        torch.testing.assert_close(states[row], expected)


def test_unknown_recurrent_layer_is_named():
    with pytest.raises(ValueError, match="unknown recurrent layer 'rnn'; choose one of lstm, gru"):
        build_rnn("rnn", 2, 2, num_layers=1, dropout=0.0)


def test_init_weights_handles_the_gru_and_nothing_else():
    gru = nn.GRU(3, 4, bidirectional=True)
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter.fill_(float("nan"))
    assert init_weights(gru)
    assert all(parameter.isfinite().all() for parameter in gru.parameters())
    columns = gru.weight_hh_l0  # (3 * units, units): orthonormal columns
    torch.testing.assert_close(columns.T @ columns, torch.eye(4), atol=1e-5, rtol=0)
    assert (gru.bias_ih_l0_reverse == 0).all()
    assert not init_weights(nn.Linear(2, 2))


def test_init_weights_leaves_loaded_tensors_alone():
    gru = nn.GRU(3, 4)
    for parameter in gru.parameters():
        parameter._is_hf_initialized = True
    before = copy.deepcopy(gru.state_dict())
    init_weights(gru)
    assert all(torch.equal(value, before[name]) for name, value in gru.state_dict().items())
