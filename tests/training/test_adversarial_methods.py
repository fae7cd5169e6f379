"""What each adversarial method does to one batch: sizes, places, directions, weights, and what it leaves behind."""

from __future__ import annotations

from types import SimpleNamespace

import adversarial_cases as cases
import pytest
import torch
from adversarial_models import build_model, build_rows, collate, micro_batches
from adversarial_reference import EPSILON, Reference, reference_gradient, relative_error
from torch.nn import functional

from hf_ext.training import ExtTrainer
from hf_ext.training.adversarial import virtual as virtual_adversarial
from hf_ext.training.adversarial.attack import AttackSettings
from hf_ext.training.adversarial.perturbation import EmbeddingPerturbation, project, random_perturbation, steepest
from hf_ext.training.adversarial.virtual import VirtualAdversarial
from hf_ext.training.losses.divergence import divergence

EMBEDDING_METHODS = ("fgm", "pgd", "freelb", "vat")


@pytest.fixture
def deltas(monkeypatch):
    """What was added to the table's output, one entry a pass."""
    seen = []
    original = EmbeddingPerturbation.__call__

    def spy(self, module, inputs, output):
        if self.delta is not None:
            seen.append(self.delta.detach().clone())
        return original(self, module, inputs, output)

    monkeypatch.setattr(EmbeddingPerturbation, "__call__", spy)
    return seen


@pytest.fixture
def attacked_step(arguments):
    """Run one training step, without an optimizer, and give the trainer."""

    def run(model, batch, *, tokenizer=None, **flags):
        trainer = ExtTrainer(model, arguments(**flags), processing_class=tokenizer)
        trainer.current_gradient_accumulation_steps = 1
        trainer.loss_scale.settle(batch)
        if trainer.adversarial is not None:
            trainer.adversarial.count_rows([batch])
        count = batch["labels"].ne(-100).sum() if trainer.model_accepts_loss_kwargs else None
        trainer.training_step(model, batch, count)
        return trainer

    return run


def batch_of(head="stock", count=4):
    return collate(build_rows(head, count))


def lengths(delta):
    return delta.flatten(1).norm(dim=1)


# --- sizes and places -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fgm", "vat"])
def test_every_row_moves_by_epsilon(attacked_step, deltas, method):
    attacked_step(build_model("stock"), batch_of(), adversarial=method, adversarial_epsilon=0.3)
    torch.testing.assert_close(lengths(deltas[-1]), torch.full((4,), 0.3, dtype=torch.float64), rtol=1e-12, atol=0)


def test_linf_moves_every_number_of_real_tokens_by_epsilon(attacked_step, deltas):
    batch = batch_of()
    flags = {"adversarial": "fgm", "adversarial_norm": "linf", "adversarial_epsilon": 0.01}
    attacked_step(build_model("stock"), batch, **flags)
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(deltas[-1][real].abs(), torch.full_like(deltas[-1][real], 0.01))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("method", ["pgd", "freelb"])
def test_steps_never_leave_the_ball(attacked_step, deltas, method, norm):
    flags = {"adversarial_epsilon": 0.3, "adversarial_alpha": 0.2, "adversarial_steps": 5, "adversarial_norm": norm}
    attacked_step(build_model("stock"), batch_of(), adversarial=method, **flags)
    sizes = [lengths(delta) if norm == "l2" else delta.abs().amax((1, 2)) for delta in deltas]
    assert all((size <= 0.3 * (1 + 1e-12)).all() for size in sizes)
    torch.testing.assert_close(sizes[1], torch.full((4,), 0.2, dtype=torch.float64))
    assert (sizes[2] > 0.2).any()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("method", EMBEDDING_METHODS)
def test_padding_is_untouched_on_either_side(attacked_step, deltas, method, side):
    batch = batch_of()
    if side == "left":
        for name in ("input_ids", "attention_mask"):
            batch[name] = batch[name].flip(1)
    flags = {"adversarial_random_start": 0.1} if method in ("pgd", "freelb") else {}
    attacked_step(build_model("stock"), batch, adversarial=method, **flags)
    padding = batch["attention_mask"] == 0
    assert padding.any()
    assert all((delta[padding] == 0).all() for delta in deltas)
    assert all((deltas[-1][row][~padding[row]] != 0).any() for row in range(4))


def test_without_a_mask_the_padding_id_tells(attacked_step, deltas):
    batch = batch_of()
    mask = batch.pop("attention_mask")
    attacked_step(build_model("stock"), batch, adversarial="fgm")
    assert (deltas[-1][mask == 0] == 0).all()


def test_special_tokens_are_untouched_on_request(attacked_step, deltas):
    batch = batch_of()
    batch["input_ids"][:, 0] = 2
    batch["input_ids"][:, 2] = 3
    tokenizer = SimpleNamespace(all_special_ids=[0, 2, 3])
    flags = {"adversarial": "fgm", "adversarial_skip_special_tokens": True, "adversarial_epsilon": 0.3}
    attacked_step(build_model("stock"), batch, tokenizer=tokenizer, **flags)
    assert (deltas[-1][:, [0, 2]] == 0).all()
    torch.testing.assert_close(lengths(deltas[-1]), torch.full((4,), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("method", ["pgd", "freelb"])
def test_the_random_start_has_the_size_asked_for(attacked_step, deltas, method):
    flags = {"adversarial_random_start": 0.05, "adversarial_steps": 2}
    attacked_step(build_model("stock"), batch_of(), adversarial=method, **flags)
    start = 1 if method == "pgd" else 0  # the clean pass of pgd comes first
    torch.testing.assert_close(lengths(deltas[start]), torch.full((4,), 0.05, dtype=torch.float64))
    assert len(deltas) == {"pgd": 4, "freelb": 2}[method]


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_rows_without_a_usable_gradient_stay_where_they_are(norm):
    gradient = torch.ones(4, 2, 3)
    gradient[1] = 0.0
    gradient[2, 0, 0] = float("nan")
    gradient[3, 1, 2] = float("inf")
    found = steepest(gradient, norm)
    assert (found[0] != 0).all()
    assert (found[1:] == 0).all()


def test_projection_is_the_nearest_point_of_the_ball():
    delta = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    found = project(delta, 1.0, "l2")
    torch.testing.assert_close(found, delta / lengths(delta).clamp_min(1.0)[:, None, None])
    assert torch.equal(project(delta, 0.5, "linf"), delta.clip(-0.5, 0.5))


def test_the_random_perturbation_keeps_to_the_mask():
    mask = torch.tensor([[1.0, 0.0, 1.0]])[:, :, None]
    for norm in ("l2", "linf"):
        found = random_perturbation(torch.zeros(1, 3, 4), mask, 0.2, norm)
        assert (found[:, 1] == 0).all()
        assert found.abs().max() <= 0.2


@pytest.mark.parametrize("head", ["stock", "ext", "crf"])
def test_a_row_is_moved_the_same_way_in_any_batch(attacked_step, deltas, head):
    batch = batch_of(head)
    attacked_step(build_model(head), batch, adversarial="fgm")
    together = deltas[-1]
    alone = {name: value[1:2] for name, value in batch.items()}
    attacked_step(build_model(head), alone, adversarial="fgm")
    torch.testing.assert_close(deltas[-1], together[1:2], rtol=1e-9, atol=1e-12)


# --- how passes count -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["stock", "ext"])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_fraction_attacks_rows_at_even_distances_and_counts_them_as_much_as_before(head, steps):
    found = cases.step_gradient(head, "fgm", steps, adversarial_fraction=0.5)
    batches = micro_batches(head, steps)
    items = sum(batch["labels"].ne(-100).sum() for batch in batches)
    expected = reference_gradient(head, "plain", steps)
    for batch in batches:
        rows = len(batch["labels"])
        half = -(-rows // 2)
        kept = [i * rows // half for i in range(half)]
        cut = {name: value[kept] for name, value in batch.items()}
        reference = Reference(head, cut, items=items, rows=rows)
        delta = EPSILON * reference.unit(reference.zero)
        for name, value in reference.gradient(delta).items():
            expected[name] = expected[name] + value
    assert relative_error(found, expected) <= 1e-12


def test_a_fraction_without_any_label_adds_nothing(attacked_step):
    gradients = []
    for flags in ({}, {"adversarial": "fgm", "adversarial_fraction": 0.5}):
        model, batch = build_model("stock"), batch_of()
        batch["labels"][::2] = -100
        attacked_step(model, batch, **flags)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("head", ["stock", "ext"])
def test_the_weight_scales_the_adversarial_part(head):
    found = cases.step_gradient(head, "fgm", 4, adversarial_weight=0.3)
    clean, both = reference_gradient(head, "plain", 4), reference_gradient(head, "fgm", 4)
    expected = {name: clean[name] + 0.3 * (both[name] - clean[name]) for name in clean}
    assert relative_error(found, expected) <= 1e-12


def test_attacked_and_plain_steps_alternate(monkeypatch, arguments, bert, rows):
    calls = []
    original = ExtTrainer.compute_loss

    def spy(self, *args, **kwargs):
        calls.append(self.state.global_step)
        return original(self, *args, **kwargs)

    trainer = ExtTrainer(bert, arguments(adversarial="fgm", adversarial_every=2, max_steps=4), train_dataset=rows)
    trainer.loss_scale.settle(trainer.data_collator(rows))
    monkeypatch.setattr(ExtTrainer, "compute_loss", spy)
    trainer.train()
    assert calls == [0, 0, 1, 2, 2, 3]


def test_the_logged_loss_is_the_clean_one(arguments, rows, bert):
    losses = [
        ExtTrainer(bert, arguments(max_steps=1, learning_rate=0.0, **flags), train_dataset=rows).train().training_loss
        for flags in ({}, {"adversarial": "fgm", "adversarial_weight": 3.0}, {"adversarial": "freelb"})
    ]
    assert losses[1] == losses[0]
    assert losses[2] == pytest.approx(losses[0], rel=1e-6)


def losses_of(attacked_step, monkeypatch, **flags):
    losses = []
    original = functional.cross_entropy

    def spy(*args, **kwargs):
        losses.append(original(*args, **kwargs))
        return losses[-1]

    model = build_model("stock", hidden_dropout_prob=0.3)
    torch.manual_seed(9)
    monkeypatch.setattr(functional, "cross_entropy", spy)
    monkeypatch.setattr("torch.nn.CrossEntropyLoss.forward", lambda self, *args: spy(*args))
    attacked_step(model, batch_of(), **flags)
    monkeypatch.undo()
    return [loss.item() for loss in losses[2:]], torch.get_rng_state()


@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb"])
def test_the_same_dropout_is_the_same_in_all_passes_and_uses_up_one_pass(attacked_step, monkeypatch, method):
    _, after_plain = losses_of(attacked_step, monkeypatch)
    flags = {"adversarial": method, "adversarial_epsilon": 1e-12}
    same, after_same = losses_of(attacked_step, monkeypatch, adversarial_same_dropout=True, **flags)
    assert len(same) >= 2
    assert same == pytest.approx([same[0]] * len(same), rel=1e-9)
    assert torch.equal(after_same, after_plain)
    other, after_other = losses_of(attacked_step, monkeypatch, **flags)
    assert abs(other[1] - other[0]) > 1e-3
    assert not torch.equal(after_other, after_plain)


# --- virtual adversarial training -------------------------------------------------------------------------------------


@pytest.fixture
def even_direction(monkeypatch):
    """Begin the power iteration in a direction that is the same for a row in every batch."""

    def direction(like, mask, size, norm):
        each = torch.arange(1.0, like.shape[-1] + 1).to(like) * mask
        return size * each / each.flatten(1).norm(dim=1)[:, None, None]

    monkeypatch.setattr(virtual_adversarial, "random_perturbation", direction)


def vat_gradient(monkeypatch, head, steps, rows):
    direction = virtual_adversarial.random_perturbation
    monkeypatch.setattr(cases, "fixed_direction", direction)
    return cases.step_gradient(head, "vat", steps, rows=rows)


@pytest.mark.parametrize("head", ["stock", "ext", "crf"])
def test_vat_learns_without_labels_and_as_much_for_any_accumulation(monkeypatch, even_direction, head):
    rows = [{name: value for name, value in row.items() if name != "labels"} for row in build_rows(head)]
    rows = [row | {"present": True} for row in rows]
    whole = vat_gradient(monkeypatch, head, 1, rows)
    assert sum(value.norm() for value in whole.values()) > 1e-3
    for steps in (2, 4):
        found = vat_gradient(monkeypatch, head, steps, rows)
        assert relative_error(found, {name: whole.get(name, torch.zeros(())) for name in found}) <= 1e-9


@pytest.mark.parametrize("unlabelled", [(), (0, 5, 6, 7, 12)])
def test_vat_counts_rows_without_a_label_as_much_for_any_accumulation(monkeypatch, even_direction, unlabelled):
    rows = build_rows("ext")
    for i, row in enumerate(rows):
        row["labels"] = -100 if i in unlabelled else i % 3
    whole = vat_gradient(monkeypatch, "ext", 1, rows)
    for steps in (2, 4):
        assert relative_error(vat_gradient(monkeypatch, "ext", steps, rows), whole) <= 1e-9


@pytest.mark.parametrize("head", ["stock", "ext"])
def test_vat_learns_from_a_batch_in_which_no_row_has_a_label(monkeypatch, even_direction, head):
    rows = [row | {"present": True} for row in build_rows(head)]
    ignored = [row | {"labels": -100} for row in rows]
    absent = [{name: value for name, value in row.items() if name != "labels"} for row in rows]
    found, expected = (vat_gradient(monkeypatch, head, 2, given) for given in (ignored, absent))
    assert sum(value.norm() for value in found.values()) > 1e-3
    assert relative_error(found, {name: expected.get(name, torch.zeros(())) for name in found}) <= 1e-9


def test_power_iteration_finds_the_direction_in_which_the_divergence_grows_most():
    torch.manual_seed(0)
    weight, clean = torch.randn(3, 10).double(), torch.randn(3).double()
    p = clean.softmax(0)
    hessian = weight.T @ (p.diag() - p[:, None] * p) @ weight  # of KL(p(x) || p(x + d)) at d = 0
    expected = torch.linalg.eigh(hessian).eigenvectors[:, -1]
    attack = VirtualAdversarial(AttackSettings(epsilon=0.5, alpha=1e-4, steps=200))
    delta = torch.zeros(1, 2, 5).double()
    attack.mask = torch.ones(1, 2, 1).double()
    for number in range(201):
        attack.number = number
        leaf = delta.requires_grad_(True)
        moved = divergence(clean[None], clean + leaf.flatten(1) @ weight.T, None).sum()
        gradient = torch.autograd.grad(moved, leaf)[0]
        delta = attack.move(leaf.detach(), gradient)
    assert abs(delta.flatten() @ expected) / delta.norm() == pytest.approx(1.0, abs=1e-6)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["awp", "fgm_weight"])
def test_weights_come_back_bit_by_bit(attacked_step, method):
    model = build_model("stock").float()
    before = {name: (value.clone(), value.data_ptr()) for name, value in model.named_parameters()}
    attacked_step(model, batch_of(), adversarial=method)
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name][0]), name
        assert value.data_ptr() == before[name][1], name


def test_one_norm_over_the_whole_table_gives_a_row_less_in_a_larger_batch(attacked_step, monkeypatch):
    moved = []
    for count in (1, 8, 32):
        model, attacks = build_model("stock"), []
        table = model.get_input_embeddings()
        table.register_forward_hook(lambda module, inputs, output, seen=attacks: seen.append(output.detach()))
        batch = collate([row | {"present": True} for row in build_rows("stock", count)])
        attacked_step(model, batch, adversarial="fgm_weight", adversarial_epsilon=1.0)
        change = (attacks[-1] - attacks[-2]) * batch["attention_mask"][:, :, None]
        moved.append(lengths(change).mean().item())
    assert moved[0] >= 1.0 - 1e-9  # more where a token comes twice
    assert moved[0] > moved[1] > moved[2]
