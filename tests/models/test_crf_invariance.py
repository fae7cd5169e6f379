"""A row's results do not depend on what else is in the batch, and a device is never waited for."""

from __future__ import annotations

import pytest
import torch
from crf_cases import build_case
from torch.utils._python_dispatch import TorchDispatchMode

import hf_ext.models.crf_decoding as decoding
import hf_ext.models.crf_likelihood as likelihood
import hf_ext.models.crf_marginals as marginals
from hf_ext.models.crf import LinearChainCRF
from hf_ext.models.crf_posterior import Scores
from hf_ext.models.crf_recursions import block_size, runs_blocked
from hf_ext.models.crf_words import Words, find_words

VIEWS = (
    "view",
    "_unsafe_view",
    "expand",
    "transpose",
    "permute",
    "t",
    "select",
    "slice",
    "unsqueeze",
    "squeeze",
    "unbind",
)
WAITS = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal")
DTYPES = [torch.float32, torch.float64]
SIZES = [(7, 11, 3), (32, 40, 9), (5, 33, 31)]


def answers(crf, emissions, tags, mask):
    """Give everything that belongs to a row, by name."""
    emissions = emissions.clone().requires_grad_()
    rows = crf(emissions, tags, mask, reduction="none")
    weights = tags.clamp_min(0).sum(1) % 3 + 1.0  # a row's own, whatever its place
    (rows * weights).sum().backward()
    best, scores = crf.viterbi_decode(emissions, mask)
    many, many_scores = crf.n_best(emissions, 3, mask)
    alone, given = crf.chain_probabilities(emissions, tags, mask)
    return {
        "likelihood": rows.detach(),
        "gradient": emissions.grad,
        "best": best,
        "scores": scores,
        "many": many.transpose(1, 2),  # (B, T, n)
        "many_scores": many_scores,
        "marginals": crf.marginals(emissions, mask),
        "alone": alone,
        "given": given,
    }


def draw(size, dtype):
    rows, width, num_tags = size
    crf, emissions, tags, mask = build_case(1, rows=rows, width=width, num_tags=num_tags, scale=2.0)
    tags[:, 0] = torch.arange(rows) % num_tags
    return crf.to(dtype), emissions.to(dtype), tags, mask


def assert_same_bits(found, expected):
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_the_order_of_the_batch_changes_no_bit(size, dtype):
    crf, emissions, tags, mask = draw(size, dtype)
    order = torch.randperm(len(mask), generator=torch.Generator().manual_seed(0))
    expected = {name: value[order] for name, value in answers(crf, emissions, tags, mask).items()}
    assert_same_bits(answers(crf, emissions[order], tags[order], mask[order]), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_other_rows_change_no_bit(size, dtype):
    crf, emissions, tags, mask = draw(size, dtype)
    few = {name: value[1:3] for name, value in answers(crf, emissions, tags, mask).items()}
    assert_same_bits(answers(crf, emissions[1:3], tags[1:3], mask[1:3]), few)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", ["left", "right", "between"])
def test_padding_changes_no_bit(size, dtype, side):
    crf, emissions, tags, mask = draw(size, dtype)
    rows, width, num_tags = size
    places = {"left": torch.arange(width) + 9, "right": torch.arange(width), "between": 2 * torch.arange(width) + 1}[
        side
    ]
    wide = 2 * width + 9
    padded_mask = torch.zeros(rows, wide, dtype=torch.bool)
    padded = torch.full((rows, wide, num_tags), float("nan"), dtype=dtype)
    padded_tags = torch.full((rows, wide), -100)
    padded_mask[:, places], padded[:, places], padded_tags[:, places] = mask, emissions, tags
    found = answers(crf, padded, padded_tags, padded_mask)
    for name, value in answers(crf, emissions, tags, mask).items():
        at_words = found[name] if name in ("likelihood", "scores", "many_scores") else found[name][:, places]
        assert torch.equal(at_words, value), name
        if at_words is not found[name]:
            rest = found[name][~padded_mask]
            assert torch.equal(rest, torch.full_like(rest, -100 if name in ("best", "many") else 0)), name


def test_gradients_of_parameters_do_not_hang_on_order_or_padding():
    """They are sums over rows: equal to the last digits of a float64, before they are rounded."""
    crf, emissions, tags, mask = draw((32, 40, 9), torch.float64)
    order = torch.randperm(32)

    def gradients(*batch):
        crf.zero_grad()
        crf(*batch).backward()
        return [parameter.grad.clone() for parameter in crf.parameters()]

    expected = gradients(emissions, tags, mask)
    for found in (
        gradients(emissions[order], tags[order], mask[order]),
        gradients(*(torch.cat([part, part], 1) for part in (emissions, tags)), torch.cat([mask, mask & False], 1)),
    ):
        for value, other in zip(found, expected, strict=True):
            torch.testing.assert_close(value, other, rtol=0, atol=1e-12)


# --- what does not wobble: operations and waits -----------------------------------------------------------------------


class CountOperations(TorchDispatchMode):
    """Count ATen operations, without views, and those that make a host wait for its device."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if (name := function.overloadpacket.__name__) not in VIEWS:
            self.names.append(name)
        return function(*args, **(kwargs or {}))

    @property
    def waits(self):
        return [name for name in self.names if name in WAITS]


def long_batch(width=512, num_tags=9):
    torch.manual_seed(0)
    crf = LinearChainCRF(num_tags, batch_first=True)
    lengths = torch.randint(width // 4, width + 1, (8, 1))
    mask = torch.arange(width) < lengths
    return crf, torch.randn(8, width, num_tags, requires_grad=True), torch.randint(num_tags, (8, width)), mask


def test_training_on_512_words_takes_at_most_2200_operations_and_no_wait():
    crf, emissions, tags, mask = long_batch()
    with CountOperations() as counted:
        crf(emissions, tags, mask).backward()
    assert len(counted.names) <= 2200
    assert counted.waits == []


def test_training_in_blocks_takes_at_most_400_operations_and_no_wait():
    crf, emissions, tags, mask = long_batch()
    words = find_words(mask)
    scores = Scores(emissions, crf.start_transitions, crf.transitions, crf.end_transitions)
    with CountOperations() as counted:
        likelihood.find_log_likelihood(scores, tags, words, blocked=True, bounded=True).sum().backward()
    assert len(counted.names) <= 400
    assert counted.waits == []


@pytest.mark.parametrize("by_pointers", [False, True])
def test_decoding_512_words_takes_at_most_2200_operations_and_no_wait(by_pointers):
    crf, emissions, _, mask = long_batch()
    scores = Scores(emissions, crf.start_transitions, crf.transitions, crf.end_transitions)
    with CountOperations() as counted:
        decoding.find_best_paths(scores, find_words(mask), by_pointers=by_pointers)
    assert len(counted.names) <= 2200
    assert counted.waits == []


def test_probabilities_wait_for_nothing():
    crf, emissions, tags, mask = long_batch(64)
    with CountOperations() as counted:
        crf.marginals(emissions, mask)
        crf.chain_probabilities(emissions, tags, mask)
        crf.viterbi_decode(emissions, mask)
        crf.n_best(emissions, 2, mask)
    assert counted.waits == []


def test_nothing_asks_a_device_for_values(monkeypatch):
    """On the meta device there are none. Rows that underflow are asked for elsewhere than on CUDA only."""
    for module in (likelihood, marginals):
        monkeypatch.setattr(module, "broken_rows", lambda reliable: None)
    with torch.device("meta"):
        emissions = torch.empty(3, 70, 5, requires_grad=True)
        scores = Scores(emissions, torch.empty(5), torch.empty(5, 5), torch.empty(5))
        tags, mask = torch.empty(3, 70, dtype=torch.long), torch.empty(3, 70, dtype=torch.bool)
        words = find_words(mask)
        for blocked in (False, True):
            found = likelihood.find_log_likelihood(scores, tags, words, blocked=blocked, bounded=True)
            found.sum().backward()
            assert emissions.grad.shape == (3, 70, 5)
            assert marginals.find_marginals(scores, words, blocked=blocked, bounded=True).shape == (3, 70, 5)
        assert marginals.find_chain_probabilities(scores, tags, words)[1].shape == (3, 70)
        assert decoding.find_best_paths(scores, words)[0].shape == (3, 70)
        assert decoding.find_n_best_paths(scores, words, 4)[0].shape == (3, 4, 70)


@pytest.mark.parametrize(
    ("device", "rows", "words", "tags", "expected"),
    [
        ("cpu", 32, 512, 9, False),
        ("cuda", 32, 512, 9, True),
        ("cuda", 64, 128, 31, True),
        ("cuda", 8, 512, 61, True),
        ("cuda", 32, 63, 9, False),
        ("cuda", 32, 512, 65, False),
        ("cuda", 512, 512, 61, False),  # 2 * 512 * 32 * 61 * 61 * 8 bytes are 930 MiB
    ],
)
def test_blocks_are_chosen_by_size_on_cuda_only(device, rows, words, tags, expected):
    assert runs_blocked(torch.device(device), rows, words, tags) is expected


@pytest.mark.parametrize("words", [1, 2, 64, 512, 4096])
@pytest.mark.parametrize("scale_every", [2, 4])
def test_a_block_ends_where_messages_are_scaled(words, scale_every):
    block = block_size(words, scale_every=scale_every)
    assert block > 0
    assert block % scale_every == 0


# --- which words there are --------------------------------------------------------------------------------------------


def test_words_are_found_by_counting():
    words = find_words(torch.tensor([[0, 1, 0, 1, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool))
    assert words.order.tolist() == [[1, 3, 4, 4, 4], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert words.last.tolist() == [2, 0, -1]
    assert words.rank[words.kept].tolist() == [0, 1, 2, 0]
    assert words.filled.sum(1).tolist() == [3, 1, 0]
    values = torch.arange(15).view(3, 5)
    assert words.at_ranks(values)[0].tolist() == [1, 3, 4, 4, 4]
    assert torch.equal(words.at_positions(words.at_ranks(values))[words.kept], values[words.kept])
    assert words.mirrored(words.order)[0].tolist() == [4, 3, 1, 1, 1]
    assert isinstance(words, Words)
