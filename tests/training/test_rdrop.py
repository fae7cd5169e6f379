"""R-Drop: the doubled batch, its objective, and where it does nothing. Gradients: test_loss_gradients."""

from __future__ import annotations

import loss_gradient_cases as cases
import pytest
import torch
from loss_models import tiny_tagger
from loss_scale_cases import CatchGradient, ratio_and_error
from torch import nn
from training_models import tiny_bert
from transformers import TrainerCallback, TrainingArguments
from transformers.modeling_outputs import BaseModelOutput

from hf_ext.training import ExtTrainer


@pytest.fixture
def rdrop(arguments, bert):
    return ExtTrainer(bert, arguments(rdrop_alpha=2.0)).rdrop


class SeedEachStep(TrainerCallback):
    """Let the dropout of a step be known."""

    def on_step_begin(self, args, state, control, **kwargs):
        torch.manual_seed(11)


@pytest.mark.parametrize("alpha", [0.5, 3.0])
@pytest.mark.parametrize("kind", ["rows", "tokens"])
def test_gradient_with_dropout_is_that_of_two_passes_by_hand(arguments, kind, alpha):
    rows = cases.build_rows("tokens" if kind == "tokens" else "stock")
    catch = CatchGradient()

    def build():
        return cases.sharpen(tiny_tagger() if kind == "tokens" else tiny_bert())

    args = arguments(rdrop_alpha=alpha, loss="cross_entropy", max_steps=1, max_grad_norm=0.0)
    args.per_device_train_batch_size = len(rows)
    callbacks = [catch, SeedEachStep()]
    ExtTrainer(
        build(), args, train_dataset=rows, data_collator=lambda _: cases.collate(rows), callbacks=callbacks
    ).train()

    model, batch = build().train(), cases.collate(rows)
    torch.manual_seed(11)
    logits = model(torch.cat([batch["input_ids"]] * 2)).logits  # other dropout in the second half
    p, q = logits.chunk(2)
    losses = [cases.REFERENCES["cross_entropy"](x, batch["labels"]) / (batch["labels"] != -100).sum() for x in (p, q)]
    divergence = cases.mean_divergence(p, q, batch["labels"])
    assert divergence > 1e-3
    (sum(losses) / 2 + alpha / 2 * divergence).backward()
    expected = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert ratio_and_error(catch.gradients, expected)[1] <= 1e-12


@pytest.mark.parametrize(("head", "name"), [("stock", "rdrop"), ("ext", "rdrop"), ("tokens", "rdrop_focal")])
def test_without_dropout_it_is_plain_training(head, name, monkeypatch):
    monkeypatch.setattr(cases, "TwoMasks", lambda *_: None)
    found = cases.step_gradient(name, head, 2)
    monkeypatch.setitem(cases.CASES, "plain", ((head,), {**cases.CASES[name][1], "rdrop_alpha": 0.0}, None))
    assert ratio_and_error(found, cases.step_gradient("plain", head, 2))[1] <= 1e-12


def test_an_adversarial_pass_sees_the_pairs_too(monkeypatch):
    tiny = {**cases.CASES["rdrop"][1], "adversarial": "fgm", "adversarial_epsilon": 1e-9}
    monkeypatch.setitem(cases.RDROP_CASES, "attacked", None)
    monkeypatch.setitem(cases.CASES, "attacked", (("stock",), tiny, None))
    clean, attacked = (cases.step_gradient(name, "stock", 2) for name in ("rdrop", "attacked"))
    doubled = {name: 2 * gradient for name, gradient in clean.items()}  # the attack is too small to change anything
    assert ratio_and_error(attacked, doubled)[1] <= 1e-6


def test_whatever_has_one_entry_a_row_is_doubled(rdrop):
    batch = {"input_ids": torch.arange(6).reshape(2, 3), "labels": torch.tensor([1, 2]), "scale": torch.tensor(3.0)}
    batch["nested"], batch["table"], batch["name"] = {"x": torch.zeros(2, 1)}, torch.zeros(5), "a"
    doubled, items = rdrop.double(batch, torch.tensor(2))
    assert doubled["input_ids"].tolist() == [[0, 1, 2], [3, 4, 5]] * 2
    assert doubled["labels"].tolist() == [1, 2, 1, 2]
    assert doubled["nested"]["x"].shape == (4, 1)
    assert (doubled["table"].shape, doubled["scale"].item(), doubled["name"]) == ((5,), 3.0, "a")
    assert items == 4
    assert rdrop.double(batch, None)[1] is None
    assert batch["labels"].tolist() == [1, 2]


def test_flat_indices_of_masked_tokens_are_left_to_the_labels(rdrop):
    batch = {"input_ids": torch.zeros(2, 3), "masked_positions": torch.tensor([1, 5])}  # as many as rows, by chance
    assert set(rdrop.double(batch, None)[0]) == {"input_ids"}


def test_evaluation_and_plain_arguments_know_nothing_of_it(arguments, rows, tmp_path):
    plain = TrainingArguments(str(tmp_path), use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=5)
    assert ExtTrainer(tiny_bert(), plain).rdrop is None
    assert ExtTrainer(tiny_bert(), arguments()).rdrop is None
    losses = [
        ExtTrainer(tiny_bert(), args, eval_dataset=rows).evaluate()["eval_loss"]
        for args in (plain, arguments(rdrop_alpha=5.0, per_device_eval_batch_size=5))
    ]
    assert losses[0] == losses[1]


def test_a_single_missing_label_of_a_row_does_not_count(rdrop):
    rdrop.trainer.model.config.problem_type = "multi_label_classification"
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]] * 2)
    labels[[0, 2], 1] = -100
    found = rdrop.penalty({"logits": logits}, labels, None)
    p, q = logits.sigmoid().chunk(2)
    each = ((p - q) * (p / (1 - p) * (1 - q) / q).log())[labels[:2] != -100]  # both ways at once
    torch.testing.assert_close(found, 2.0 * each.sum() / 2 / 10)


class NoLogits(nn.Module):
    """A model that gives its loss and keeps its predictions to itself."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, input_ids, labels=None):
        loss = self.linear(input_ids.float().mean(1, keepdim=True)).mean()
        return {"loss": loss, "hidden": BaseModelOutput(loss)}


def test_what_it_cannot_do_is_one_line(arguments, rows, rdrop):
    with pytest.raises(ValueError, match="has no logits"):
        ExtTrainer(NoLogits(), arguments(rdrop_alpha=1.0), train_dataset=rows).train()
    with pytest.raises(ValueError, match="--rdrop_alpha needs labels"):
        rdrop.penalty({"logits": torch.zeros(4, 3)}, None, None)
    with pytest.raises(ValueError, match=r"labels \(4, 2\) do not fit logits \(4, 5, 3\)"):
        rdrop.penalty({"logits": torch.zeros(4, 5, 3)}, torch.zeros(4, 2, dtype=torch.long), None)
    with pytest.raises(ValueError, match="--adversarial_fraction tears"):
        ExtTrainer(tiny_bert(), arguments(rdrop_alpha=1.0, adversarial="fgm", adversarial_fraction=0.5))
