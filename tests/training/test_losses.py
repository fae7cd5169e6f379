"""Every loss equals its formula, item by item, and counts only what is there to be counted."""

from __future__ import annotations

import pytest
import torch
from loss_references import REFERENCES
from torch.nn import functional

from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_ext.training.losses.item_loss import LossSettings, read_logits
from hf_ext.training.losses.registry import LOSSES

MEMBERS = {
    ("binary_" if name == "focal" and member.problem_type == MULTI_LABEL else "") + name: member
    for name, members in LOSSES.items()
    for member in members
}
SINGLE = [name for name, member in MEMBERS.items() if member.problem_type == SINGLE_LABEL]
WEIGHTS = torch.tensor([1.0, 2.5, 0.3], dtype=torch.float64)


def example(kind, seed=0):
    """Give float64 logits and labels, some of them -100: ``rows``, ``tokens``, several labels, or numbers."""
    generator = torch.Generator().manual_seed(seed)
    shape = {"tokens": (4, 5, 3), REGRESSION: (6, 1)}.get(kind, (6, 3))
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    if kind == MULTI_LABEL:
        labels = torch.randint(0, 2, shape, generator=generator).double()
        labels[2] = -100
    elif kind == REGRESSION:
        labels = torch.randn(6, generator=generator, dtype=torch.float64)
        labels[4] = -100
    else:
        labels = torch.randint(0, 3, shape[:-1], generator=generator)
        labels.view(-1)[torch.tensor([1, 3])] = -100
    return logits.requires_grad_(), labels


CASES = [
    (name, kind, weights, smoothing, gamma)
    for name, member in MEMBERS.items()
    for kind in (["rows", "tokens"] if member.problem_type == SINGLE_LABEL else [member.problem_type])
    for weights in ([None, WEIGHTS] if member.takes_class_weights else [None])
    for smoothing in ([0.0, 0.2] if member.problem_type == SINGLE_LABEL else [0.0])
    for gamma in ([0.0, 0.5, 2.0] if "focal" in name else [2.0])
]


@pytest.mark.parametrize(("name", "kind", "weights", "smoothing", "gamma"), CASES)
def test_loss_and_gradient_equal_the_formula(name, kind, weights, smoothing, gamma):
    logits, labels = example(kind)
    loss = MEMBERS[name](LossSettings(class_weights=weights, label_smoothing=smoothing, focal_gamma=gamma))
    found = loss({"logits": logits}, labels)
    expected = REFERENCES[name](logits, labels, weights, smoothing, gamma) / (labels != -100).sum()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", ["rows", "tokens"])
def test_cross_entropy_is_that_of_torch(kind, weights, smoothing):
    logits, labels = example(kind)
    flat, options = (logits.reshape(-1, 3), labels.reshape(-1)), {"weight": weights, "label_smoothing": smoothing}
    expected = functional.cross_entropy(*flat, ignore_index=-100, reduction="sum", **options) / 7
    found = MEMBERS["cross_entropy"](LossSettings(weights, smoothing))({"logits": logits}, labels, 7)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0.0)
    focal = MEMBERS["focal"](LossSettings(weights, smoothing, focal_gamma=0.0))({"logits": logits}, labels, 7)
    torch.testing.assert_close(focal, expected, rtol=1e-14, atol=0.0)


def test_bce_is_that_of_torch_with_positive_weights():
    logits, labels = example(MULTI_LABEL)
    kept = [0, 1, 3, 4, 5]
    options = {"pos_weight": WEIGHTS, "reduction": "mean"}
    expected = functional.binary_cross_entropy_with_logits(logits[kept], labels[kept], **options)
    torch.testing.assert_close(MEMBERS["bce"](LossSettings(WEIGHTS))({"logits": logits}, labels), expected)


def test_zlpr_is_a_mean_over_rows():
    logits, labels = example(MULTI_LABEL)
    found = MEMBERS["zlpr"]()({"logits": logits[:1]}, labels[:1])
    row = [x if y else -x for x, y in zip(logits[0].tolist(), labels[0].tolist(), strict=True)]
    sums = [sum(torch.tensor(-x).exp() for x, y in zip(row, labels[0].tolist(), strict=True) if y == k) for k in (0, 1)]
    assert found.item() == pytest.approx(float(sum(torch.log1p(torch.as_tensor(s)) for s in sums)))


@pytest.mark.parametrize("name", MEMBERS)
def test_given_items_divide_the_sum_and_micro_batches_add_up(name):
    kind = "rows" if MEMBERS[name].problem_type == SINGLE_LABEL else MEMBERS[name].problem_type
    logits, labels = example(kind)
    loss, items = MEMBERS[name](), (labels != -100).sum()
    parts = [loss({"logits": logits[cut]}, labels[cut], items) for cut in (slice(0, 1), slice(1, 4), slice(4, 6))]
    torch.testing.assert_close(sum(parts), loss({"logits": logits}, labels))
    torch.testing.assert_close(sum(parts), loss({"logits": logits}, labels, int(items)))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_batch_without_labels_to_learn_from_is_zero_and_has_no_gradient(name):
    kind = "rows" if MEMBERS[name].problem_type == SINGLE_LABEL else MEMBERS[name].problem_type
    logits, labels = example(kind)
    for items in (None, 0, torch.tensor(0)):
        found = MEMBERS[name]()({"logits": logits}, torch.full_like(labels, -100), items)
        assert found.item() == 0.0
        assert not torch.autograd.grad(found, logits)[0].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("name", MEMBERS)
def test_extreme_logits_give_finite_losses_and_gradients(name, gamma, dtype):
    columns = 1 if MEMBERS[name].problem_type == REGRESSION else 3
    logits = torch.tensor([[1e3], [-1e3], [0.0], [30.0]], dtype=dtype).repeat(1, columns)
    logits[:, 0] *= -1
    logits.requires_grad_()
    labels = {
        SINGLE_LABEL: torch.tensor([0, 1, 0, 2]),
        MULTI_LABEL: torch.tensor([[1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]], dtype=dtype),
        REGRESSION: torch.zeros(4, dtype=dtype),
    }[MEMBERS[name].problem_type]
    smoothing = 0.1 if name in SINGLE else 0.0
    for settings in (LossSettings(focal_gamma=gamma), LossSettings(label_smoothing=smoothing, focal_gamma=gamma)):
        found = MEMBERS[name](settings)({"logits": logits}, labels)
        assert torch.isfinite(found)
        assert torch.isfinite(torch.autograd.grad(found, logits)[0]).all()


@pytest.mark.parametrize("name", SINGLE)
def test_the_right_class_wins_if_a_single_item_is_trained_on(name):
    logits = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for _ in range(300):
        optimizer.zero_grad()
        MEMBERS[name]()({"logits": logits}, torch.tensor([1])).backward()
        optimizer.step()
    assert logits.softmax(-1)[0, 1] > 0.9


@pytest.mark.parametrize("name", MEMBERS)
def test_half_precision_logits_are_computed_in_float32(name):
    kind = "rows" if MEMBERS[name].problem_type == SINGLE_LABEL else MEMBERS[name].problem_type
    logits, labels = example(kind)
    half = logits.detach().bfloat16()
    loss = MEMBERS[name](LossSettings(WEIGHTS if MEMBERS[name].takes_class_weights else None))
    found = loss({"logits": half}, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), loss({"logits": half.double()}, labels), rtol=1e-5, atol=1e-6)


def test_weights_follow_the_logits_and_stay_exact():
    logits, labels = example("rows")
    loss = MEMBERS["cross_entropy"](LossSettings(WEIGHTS))
    expected = loss({"logits": logits}, labels)
    loss({"logits": logits.float()}, labels)
    assert torch.equal(loss({"logits": logits}, labels), expected)


def test_several_labels_may_be_integers():
    logits, labels = example(MULTI_LABEL)
    assert torch.equal(
        MEMBERS["bce"]()({"logits": logits}, labels.long()), MEMBERS["bce"]()({"logits": logits}, labels)
    )


def test_regression_takes_several_targets_a_row():
    logits, targets = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    torch.testing.assert_close(MEMBERS["mse"]()((logits,), targets), functional.mse_loss(logits, targets))


def test_wrong_calls_are_named():
    logits, labels = example("rows")
    loss = MEMBERS["cross_entropy"](LossSettings(torch.ones(2)))
    with pytest.raises(ValueError, match="2 class weights do not fit 3 outputs"):
        loss({"logits": logits}, labels)
    with pytest.raises(ValueError, match="problem_type"):
        MEMBERS["cross_entropy"]()({"logits": logits}, labels.double())
    with pytest.raises(ValueError, match="5 labels do not fit 6 predictions"):
        MEMBERS["cross_entropy"]()({"logits": logits}, labels[:5])
    with pytest.raises(ValueError, match="needs labels"):
        MEMBERS["cross_entropy"]()({"logits": logits}, None)
    with pytest.raises(ValueError, match="no logits"):
        read_logits({"last_hidden_state": logits})


def test_logits_are_found_in_objects_dictionaries_and_tuples():
    logits = torch.zeros(2, 3)
    outputs = type("Output", (), {"logits": logits})()
    assert all(read_logits(found) is logits for found in (outputs, {"logits": logits}, (logits, 1)))
