"""LinearChainCRF as a drop-in for torchcrf.CRF, and what it takes and refuses beyond that."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from crf_cases import PARAMETERS, all_paths, brute_likelihood, build_case, path_scores
from torchcrf import CRF

from hf_ext.models.crf import ILLEGAL, LinearChainCRF
from hf_ext.models.tag_schemes import LegalTransitions, illegal_places, legal_transitions

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
LEGAL = legal_transitions(TAGS, "BIO")
NEVER = LegalTransitions((False,) * 3, ((False,) * 3,) * 3, (False,) * 3)


def draw_batch(rows=6, width=8, num_tags=5, seed=0):
    """Give emissions, tags and a mask that torchcrf takes: no holes, every row begins."""
    draw = torch.Generator().manual_seed(seed)
    emissions = torch.randn(rows, width, num_tags, generator=draw)
    tags = torch.randint(num_tags, (rows, width), generator=draw)
    lengths = torch.randint(1, width + 1, (rows, 1), generator=draw)
    lengths[0] = width
    return emissions, tags, torch.arange(width) < lengths


def same_parameters(num_tags=5, **settings):
    """Give a torchcrf.CRF with large transitions and ours loaded from its state dict."""
    torch.manual_seed(1)
    theirs = CRF(num_tags, batch_first=settings.get("batch_first", False))
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
    ours = LinearChainCRF(num_tags, **settings)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


# --- in place of torchcrf ---------------------------------------------------------------------------------------------


def test_checkpoints_go_both_ways():
    theirs, ours = same_parameters(legal=LEGAL, constrain="train")
    assert isinstance(ours, CRF)
    emissions, _, _ = draw_batch()
    ours.viterbi_decode(emissions.transpose(0, 1))  # makes what constraints need
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours.buffers()) == []
    theirs.load_state_dict(ours.state_dict())


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "token_mean"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_likelihood_is_torchcrfs(reduction, batch_first, masked):
    theirs, ours = same_parameters(batch_first=batch_first)
    batch = draw_batch() if masked else draw_batch()[:2]
    batch = batch if batch_first else [part.transpose(0, 1) for part in batch]
    torch.testing.assert_close(ours(*batch, reduction=reduction), theirs(*batch, reduction=reduction))


@pytest.mark.parametrize("batch_first", [True, False])
def test_decoded_lists_are_torchcrfs(batch_first):
    theirs, ours = same_parameters(batch_first=batch_first)
    emissions, _, mask = draw_batch()
    batch = (emissions, mask) if batch_first else (emissions.transpose(0, 1), mask.transpose(0, 1))
    assert ours.decode(*batch) == theirs.decode(*batch)
    assert ours.decode(batch[0]) == theirs.decode(batch[0])


def test_tensors_come_out_batch_first_either_way():
    emissions, tags, mask = draw_batch()
    _, first = same_parameters(batch_first=True)
    _, last = same_parameters(batch_first=False)
    turned = [part.transpose(0, 1) for part in (emissions, tags, mask)]
    for found, expected in (
        (last.viterbi_decode(turned[0], turned[2]), first.viterbi_decode(emissions, mask)),
        (last.n_best(turned[0], 3, turned[2]), first.n_best(emissions, 3, mask)),
        ((last.marginals(turned[0], turned[2]),), (first.marginals(emissions, mask),)),
        (last.chain_probabilities(*turned), first.chain_probabilities(emissions, tags, mask)),
    ):
        for ours, theirs in zip(found, expected, strict=True):
            assert torch.equal(ours, theirs)


def test_pointers_find_the_same_best_tags():
    from hf_ext.models.crf_decoding import find_best_paths
    from hf_ext.models.crf_posterior import Scores
    from hf_ext.models.crf_words import find_words

    case = build_case(0, rows=9, width=20, num_tags=6)
    scores = Scores(case.emissions, *(getattr(case.crf, name).detach() for name in PARAMETERS))
    asked = find_best_paths(scores, find_words(case.mask), by_pointers=False)
    pointed = find_best_paths(scores, find_words(case.mask), by_pointers=True)
    assert torch.equal(asked[0], pointed[0])
    assert torch.equal(asked[1], pointed[1])


# --- what torchcrf refuses or gets wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.long, torch.float32])
def test_masks_of_any_dtype(kind):
    _, ours = same_parameters(batch_first=True)
    emissions, tags, mask = draw_batch()
    assert torch.equal(ours(emissions, tags, mask.to(kind)), ours(emissions, tags, mask))
    assert ours.decode(emissions, mask.to(kind)) == ours.decode(emissions, mask)


def test_a_mask_with_holes_means_the_words_without_them():
    _, ours = same_parameters(batch_first=True)
    emissions, tags, _ = draw_batch()
    mask = torch.zeros(6, 8, dtype=torch.bool)
    places = [1, 3, 4, 7]
    mask[:, places] = True
    assert torch.equal(ours(emissions, tags, mask), ours(emissions[:, places], tags[:, places]))
    assert ours.decode(emissions, mask) == ours.decode(emissions[:, places])
    best, _ = ours.viterbi_decode(emissions, mask)
    assert best[:, places].tolist() == ours.decode(emissions[:, places])
    assert (best[~mask] == -100).all()


def test_a_tag_of_minus_100_takes_its_word_out():
    _, ours = same_parameters(batch_first=True)
    emissions, tags, mask = draw_batch()
    without = tags.clone()
    without[:, [0, 3]] = -100
    assert torch.equal(ours(emissions, without, mask), ours(emissions, tags, mask & (without >= 0)))


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 1, 4), (1, 6, 1), (3, 1, 2), (1, 5, 3)])
def test_one_row_one_word_one_tag(size):
    rows, width, num_tags = size
    case = build_case(0, rows=rows, width=width, num_tags=num_tags, drop=0.0)
    tags = case.tags.clamp_min(0)
    expected = brute_likelihood(case.crf, case.emissions, tags, case.mask)
    torch.testing.assert_close(case.crf(case.emissions, tags, reduction="none"), expected, rtol=0, atol=1e-12)
    best, score = case.crf.viterbi_decode(case.emissions)
    assert best.shape == (rows, width)
    torch.testing.assert_close(case.crf.n_best(case.emissions, 2)[1][:, 0], score, rtol=0, atol=1e-12)
    torch.testing.assert_close(case.crf.marginals(case.emissions).sum(2), torch.ones(rows, width).double())
    assert case.crf.decode(case.emissions) == best.tolist()


def test_rows_without_words_count_for_nothing():
    _, ours = same_parameters(batch_first=True)
    emissions, tags, mask = draw_batch()
    emissions = emissions.index_fill(0, torch.tensor([2]), float("nan")).requires_grad_()
    mask = mask.index_fill(0, torch.tensor([2]), False)
    found = ours(emissions, tags, mask, reduction="none")
    found.sum().backward()
    assert found[2] == 0.0
    assert (emissions.grad[2] == 0.0).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in ours.parameters())
    best, scores = ours.viterbi_decode(emissions, mask)
    assert (best[2] == -100).all()
    assert scores[2] == 0.0
    assert ours.decode(emissions, mask)[2] == []
    many, many_scores = ours.n_best(emissions, 2, mask)
    assert (many[2] == -100).all()
    assert many_scores[2].tolist() == [0.0, float("-inf")]
    assert (ours.marginals(emissions, mask)[2] == 0.0).all()


@pytest.mark.parametrize("rows", [0, 3])
def test_a_batch_without_any_word_gives_zero(rows):
    _, ours = same_parameters(batch_first=True)
    emissions = torch.full((rows, 4, 5), float("nan"), requires_grad=True)
    mask = torch.zeros(rows, 4, dtype=torch.bool)
    for reduction in ("sum", "token_mean"):
        likelihood = ours(emissions, torch.full((rows, 4), -100), mask, reduction=reduction)
        likelihood.backward()
        assert likelihood == 0.0
    assert (emissions.grad == 0.0).all()
    assert all((parameter.grad == 0.0).all() for parameter in ours.parameters())
    assert ours.viterbi_decode(emissions, mask)[0].shape == (rows, 4)
    assert ours.decode(emissions, mask) == [[]] * rows


def test_n_best_ends_where_there_are_no_more_sequences():
    case = build_case(0, rows=2, width=2, num_tags=2, drop=0.0)
    case.mask[1, 0] = False
    tags, scores = case.crf.n_best(case.emissions, 5, case.mask)
    assert torch.isfinite(scores).sum(1).tolist() == [4, 2]
    assert (tags[~torch.isfinite(scores)] == -100).all()
    assert (tags[1, :2, 0] == -100).all()
    assert sorted(tags[1, :2, 1].tolist()) == [0, 1]


def test_a_nan_that_counts_is_not_hidden():
    _, ours = same_parameters(batch_first=True)
    emissions, tags, mask = draw_batch()
    emissions[1, 0, 0] = float("nan")
    found = ours(emissions.requires_grad_(), tags, mask, reduction="none")
    assert found.isnan().tolist() == [False, True, False, False, False, False]
    found.sum().backward()
    assert emissions.grad[1].isnan().any()
    assert not emissions.grad[0].isnan().any()


# --- precision --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_goes_in_and_float32_comes_out(kind):
    _, ours = same_parameters(batch_first=True)
    emissions, tags, mask = draw_batch()
    halved = emissions.to(kind).requires_grad_()
    found = ours(halved, tags, mask)
    assert found.dtype == torch.float32
    assert torch.equal(found, ours(halved.float(), tags, mask))
    found.backward()
    assert halved.grad.dtype == kind
    ours.to(kind)
    assert ours(halved, tags, mask).dtype == torch.float32
    assert ours.marginals(halved, mask).dtype == torch.float32
    assert ours.viterbi_decode(halved, mask)[1].dtype == torch.float32


def test_autocast_changes_no_bit():
    _, ours = same_parameters(batch_first=True)
    emissions, tags, mask = draw_batch()

    def run():
        ours.zero_grad()
        given = emissions.clone().requires_grad_()
        likelihood = ours(given, tags, mask)
        likelihood.backward()
        found = [likelihood.detach(), given.grad, *(parameter.grad.clone() for parameter in ours.parameters())]
        return [*found, ours.marginals(emissions, mask), *ours.chain_probabilities(emissions, tags, mask)]

    expected = run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = run()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_what_inference_mode_made_serves_training():
    ours = LinearChainCRF(5, batch_first=True, legal=LEGAL, constrain="train")
    emissions, tags, mask = draw_batch()
    with torch.inference_mode():
        ours.viterbi_decode(emissions, mask)
        ours(emissions, tags, mask)
    ours(emissions, tags, mask).backward()
    assert torch.isfinite(ours.transitions.grad).all()


def test_meta_loading_leaves_constraints_alone():
    expected = LinearChainCRF(5, batch_first=True, legal=LEGAL)
    with torch.device("meta"):
        loaded = LinearChainCRF(5, batch_first=True, legal=LEGAL)
    loaded.to_empty(device="cpu").load_state_dict(expected.state_dict())
    emissions, _, mask = draw_batch()
    assert loaded.decode(emissions, mask) == expected.decode(emissions, mask)
    assert copy.deepcopy(loaded).decode(emissions, mask) == expected.decode(emissions, mask)


# --- the scale of Trainer ---------------------------------------------------------------------------------------------


def test_micro_batches_add_up_to_the_whole_batch():
    """Sums over num_items_in_batch, the labelled words of all micro-batches, give the gradient of the whole."""
    _, ours = same_parameters(batch_first=True)
    emissions, tags, mask = draw_batch()
    tags[:, 2] = -100
    items = (mask & (tags >= 0)).sum()

    def gradients(*parts):
        ours.zero_grad()
        for part in parts:
            (-ours(emissions[part], tags[part], mask[part], reduction="sum") / items).backward()
        return [parameter.grad.clone() for parameter in ours.parameters()]

    whole = gradients(slice(0, 6))
    for found, expected in zip(gradients(slice(0, 1), slice(1, 3), slice(3, 6)), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    mean = ours(emissions, tags, mask, reduction="token_mean")
    torch.testing.assert_close(mean, ours(emissions, tags, mask) / items)


# --- constraints ------------------------------------------------------------------------------------------------------


def confusing(rows=40, width=9, scale=4.0):
    """Give emissions whose best tags, taken word by word, break the scheme all the time, and a mask with holes."""
    draw = torch.Generator().manual_seed(3)
    return torch.randn(rows, width, 5, generator=draw) * scale, torch.rand(rows, width, generator=draw) > 0.2


def illegal_sequences(crf, emissions, mask):
    sequences = [[TAGS[tag] for tag in row] for row in crf.decode(emissions, mask)]
    return sum(bool(illegal_places(sequence, "BIO")) for sequence in sequences)


@pytest.mark.parametrize(("constrain", "legal"), [("decode", True), ("train", True), ("none", False)])
def test_constrained_decoding_never_breaks_the_scheme(constrain, legal):
    crf = LinearChainCRF(5, batch_first=True, legal=LEGAL, constrain=constrain)
    emissions, mask = confusing()
    assert (illegal_sequences(crf, emissions, mask) == 0) is legal


def test_constrained_decoding_finds_the_best_legal_sequence():
    crf = LinearChainCRF(5, batch_first=True, legal=LEGAL).double()
    emissions, _ = confusing(rows=5, width=4)
    emissions = emissions.double()
    best, scores = crf.viterbi_decode(emissions)
    many, many_scores = crf.n_best(emissions, 20)
    paths = [path for path in all_paths(4, 5) if not illegal_places([TAGS[tag] for tag in path], "BIO")]
    for row, words in enumerate(emissions):
        expected = path_scores(crf, words, torch.stack(paths)).sort(descending=True).values
        torch.testing.assert_close(scores[row], expected[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(many_scores[row], expected[:20], rtol=0, atol=1e-9)
        assert torch.equal(many[row, 0], best[row])


def test_probabilities_are_those_of_legal_sequences():
    crf = LinearChainCRF(5, batch_first=True, legal=LEGAL).double()
    emissions, _ = confusing(rows=4, width=4)
    found = crf.marginals(emissions.double())
    paths = torch.stack([path for path in all_paths(4, 5) if not illegal_places([TAGS[tag] for tag in path], "BIO")])
    for row, words in enumerate(emissions.double()):
        chances = torch.softmax(path_scores(crf, words, paths), 0)
        expected = torch.stack([torch.stack([chances[paths[:, t] == k].sum() for k in range(5)]) for t in range(4)])
        torch.testing.assert_close(found[row], expected.detach(), rtol=0, atol=1e-9)
    tags, _ = crf.viterbi_decode(emissions.double())
    _, given = crf.chain_probabilities(emissions.double(), tags)
    assert (given > 0).all()


@pytest.mark.parametrize(("constrain", "changed"), [("decode", False), ("none", False), ("train", True)])
def test_the_likelihood_is_constrained_on_request_only(constrain, changed):
    emissions, mask = confusing()
    tags = torch.zeros_like(mask, dtype=torch.long)
    free = LinearChainCRF(5, batch_first=True)
    crf = LinearChainCRF(5, batch_first=True, legal=LEGAL, constrain=constrain)
    crf.load_state_dict(free.state_dict())
    assert (not torch.equal(crf(emissions, tags, mask), free(emissions, tags, mask))) is changed


def test_training_with_constraints_leaves_illegal_sequences_without_probability():
    crf = LinearChainCRF(5, batch_first=True, legal=LEGAL, constrain="train").double()
    emissions, _ = confusing(rows=1, width=3)
    paths = all_paths(3, 5)
    chances = crf(emissions.double().expand(len(paths), -1, -1), paths, reduction="none").exp()
    legal = torch.tensor([not illegal_places([TAGS[tag] for tag in path], "BIO") for path in paths])
    torch.testing.assert_close(chances[legal].sum(), torch.ones((), dtype=torch.float64))
    assert (chances[~legal] == 0.0).all()


def test_illegal_gold_tags_still_teach():
    """The loss of a step that the scheme forbids is great but finite, and its gradient that of any other step."""
    crf = LinearChainCRF(5, batch_first=True, legal=LEGAL, constrain="train")
    emissions = torch.zeros(1, 2, 5, requires_grad=True)
    likelihood = crf(emissions, torch.tensor([[0, 2]]))  # O I-PER
    likelihood.backward()
    assert ILLEGAL - 10 < likelihood < ILLEGAL
    assert emissions.grad[0, 1, 2] == pytest.approx(1.0, abs=0.3)
    assert torch.isfinite(emissions.grad).all()


def test_where_every_sequence_is_illegal_the_fewest_illegal_steps_win():
    crf = LinearChainCRF(3, batch_first=True, legal=NEVER, constrain="train").double()
    emissions = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    free = LinearChainCRF(3, batch_first=True).double()
    free.load_state_dict(crf.state_dict())
    tags = torch.randint(3, (2, 4))
    found, expected = crf(emissions, tags, reduction="none"), free(emissions, tags, reduction="none")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)  # all are lowered by the same
    ours = torch.autograd.grad(found.sum(), emissions)
    torch.testing.assert_close(ours, torch.autograd.grad(expected.sum(), emissions), rtol=0, atol=1e-9)
    assert crf.decode(emissions) == free.decode(emissions)

    only_self = LegalTransitions((True,) * 3, tuple(tuple(i == j for j in range(3)) for i in range(3)), (True,) * 3)
    crf = LinearChainCRF(3, batch_first=True, legal=only_self)
    emissions = -2 * ILLEGAL * torch.eye(3).repeat_interleave(2, 0).unsqueeze(0)
    assert crf.decode(emissions) == [[0, 0, 1, 1, 2, 2]]  # words stronger than the scheme: two steps, not five
    assert sum(a != b for a, b in pairwise(crf.decode(emissions)[0])) == 2


# --- refused ----------------------------------------------------------------------------------------------------------


def test_wrong_calls_say_what_is_wrong():
    crf = LinearChainCRF(5, batch_first=True)
    emissions, tags, mask = draw_batch()
    with pytest.raises(ValueError, match=r"shape \(B, T, 5\)"):
        crf(emissions[..., :4], tags, mask)
    with pytest.raises(ValueError, match="T at least 1"):
        crf.decode(emissions[:, :0])
    with pytest.raises(ValueError, match=r"mask must have the shape of the emissions, \(6, 8\)"):
        crf.viterbi_decode(emissions, mask[:, :-1])
    with pytest.raises(ValueError, match="tags must have the shape"):
        crf.chain_probabilities(emissions, tags[:-1], mask)
    with pytest.raises(ValueError, match="unknown reduction 'all'"):
        crf(emissions, tags, mask, reduction="all")
    with pytest.raises(ValueError, match="tag 5 came, but ids end at 4"):
        crf(emissions, torch.full_like(tags, 5), mask)
    with pytest.raises(ValueError, match="n must be at least 1"):
        crf.n_best(emissions, 0)
    with pytest.raises(ValueError, match="unknown constrain 'always'"):
        LinearChainCRF(5, constrain="always")
    with pytest.raises(ValueError, match="each of 4 tags"):
        LinearChainCRF(4, legal=LEGAL)
    with pytest.raises(ValueError, match="invalid number of tags"):
        LinearChainCRF(0)


def test_a_tag_beyond_the_mask_is_not_looked_at():
    crf = LinearChainCRF(5, batch_first=True)
    emissions, tags, mask = draw_batch()
    strange = torch.where(mask, tags, 99)
    assert torch.equal(crf(emissions, strange, mask), crf(emissions, tags, mask))
