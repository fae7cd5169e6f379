"""Attacks leave nothing behind: not in evaluation, not after an error, not for a resumed run, and never wait."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training_models import tiny_bert

from hf_ext.training import ExtTrainer

PASSES = {"fgm": 2, "pgd": 4, "freelb": 3, "vat": 3, "awp": 2, "fgm_weight": 2}
METHODS = tuple(PASSES)


def number_of_hooks(model):
    modules = list(model.modules())
    on_modules = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)
    return on_modules + sum(len(p._backward_hooks or ()) for p in model.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_evaluation_is_bitwise_unaffected(arguments, rows, method):
    losses = []
    for flags in ({}, {"adversarial": method}):
        model = tiny_bert()
        settings = {"eval_strategy": "steps", "eval_steps": 1, "learning_rate": 0.0, "max_steps": 2}
        trainer = ExtTrainer(model, arguments(**settings, **flags), train_dataset=rows, eval_dataset=rows)
        hooks = number_of_hooks(model)
        trainer.train()
        assert number_of_hooks(model) == hooks
        losses.append([log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log])
        losses[-1].append(trainer.evaluate()["eval_loss"])
    assert len(losses[0]) == 3
    assert losses[0] == losses[1]


class Fragile(type(tiny_bert())):
    """Raises at its ``fails_at``-th forward pass of training."""

    fails_at = 0

    def forward(self, input_ids=None, attention_mask=None, labels=None, **kwargs):
        if self.training:
            self.fails_at -= 1
            if self.fails_at == 0:
                raise RuntimeError("out of memory")
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **kwargs)


@pytest.mark.parametrize(
    ("method", "failing_pass"), [(method, each) for method, last in PASSES.items() for each in range(2, last + 1)]
)
def test_an_error_in_a_later_pass_leaves_everything_clean(arguments, rows, method, failing_pass):
    args = arguments(adversarial=method, max_steps=3)
    model = Fragile(tiny_bert().config)
    trainer = ExtTrainer(model, args, train_dataset=rows)
    assert len(trainer.adversarial.attack.weights) == PASSES[method]
    trainer.loss_scale.settle(trainer.data_collator(rows[:8]))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    model.fails_at = failing_pass
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.train()
    assert number_of_hooks(model) == 0
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]), name
        assert value.requires_grad, name
    assert not trainer.adversarial._running
    assert trainer.adversarial.weigh(torch.tensor(2.0), None) == 2.0
    model.zero_grad()
    again = trainer.train()  # from the beginning, as if nothing had happened
    assert again.global_step == 3
    assert all(torch.isfinite(value).all() for value in model.parameters())


@pytest.mark.parametrize(
    "flags",
    [
        {"adversarial": "fgm"},
        {"adversarial": "pgd", "adversarial_random_start": 0.1},
        {"adversarial": "vat", "adversarial_every": 2},
    ],
    ids=lambda flags: flags["adversarial"],
)
def test_an_interrupted_run_goes_on_bit_by_bit(arguments, rows, flags):
    weights = []
    for resume in (False, True):
        settings = {
            "max_steps": 4,
            "per_device_train_batch_size": 4,
            "save_strategy": "steps",
            "save_steps": 2,
            **flags,
        }
        model = tiny_bert()  # with dropout
        args = arguments(**settings, resume_from_checkpoint=None)
        checkpoint = f"{args.output_dir}/checkpoint-2" if resume else None
        ExtTrainer(model, args, train_dataset=rows).train(resume_from_checkpoint=checkpoint)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)


class CountWaits(TorchDispatchMode):
    """Count what makes the host wait for a device."""

    NAMES = ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket.__name__ in self.NAMES
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "flags",
    [{"adversarial": method} for method in METHODS] + [{"adversarial": "fgm", "adversarial_fraction": 0.5}],
    ids=lambda flags: "-".join(map(str, flags.values())),
)
def test_an_attacked_step_waits_no_more_often_than_its_passes(arguments, rows, flags):
    counts, passes = {}, 1
    for name, extra in (("plain", {}), ("attacked", flags)):
        trainer = ExtTrainer(tiny_bert(), arguments(**extra), train_dataset=rows)
        trainer.current_gradient_accumulation_steps = 1
        batch = trainer.data_collator(rows)
        trainer.loss_scale.settle(batch)
        if trainer.adversarial is not None:
            trainer.adversarial.count_rows([batch])
            passes = len(trainer.adversarial.attack.weights)
        trainer.training_step(trainer.model, batch)
        with CountWaits() as waits:
            trainer.training_step(trainer.model, batch)
        counts[name] = waits.count
    assert counts["attacked"] <= passes * counts["plain"]
