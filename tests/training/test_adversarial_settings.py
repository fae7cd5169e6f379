"""Settings and surroundings that do not fit are refused in one line; the others reach the method."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from training_models import tiny_bert
from transformers import TrainerState, TrainingArguments

from hf_ext.training import ExtTrainer
from hf_ext.training.adversarial.methods import ADVERSARIES, build_attack, check_surroundings, is_due


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"adversarial": "fmg"}, "did you mean|there is no such method"),
        ({"adversarial_epsilon": 0.0}, "adversarial_epsilon must be positive"),
        ({"adversarial_alpha": -1.0}, "adversarial_alpha must be positive"),
        ({"adversarial_weight": 0.0}, "adversarial_weight must be positive"),
        ({"adversarial_epsilon": float("nan")}, "adversarial_epsilon must be positive"),
        ({"adversarial_steps": 0}, "adversarial_steps must be at least 1"),
        ({"adversarial_every": 0}, "adversarial_every must be at least 1"),
        ({"adversarial_fraction": 0.0}, "adversarial_fraction must be above 0"),
        ({"adversarial_fraction": 1.5}, "adversarial_fraction must be above 0"),
        ({"adversarial_start": -1.0}, "adversarial_start must not be negative"),
        ({"adversarial_random_start": -1.0}, "adversarial_random_start must not be negative"),
        ({"adversarial_norm": "l1"}, "adversarial_norm is l2 or linf"),
        ({"adversarial_fraction": 0.5, "adversarial_same_dropout": True}, "same_dropout needs the whole batch"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, flags, message):
    with pytest.raises(ValueError, match=message):
        arguments(**flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"adversarial": "awp", "adversarial_norm": "linf"}, "knows the norm l2, not linf"),
        ({"adversarial": "fgm", "adversarial_norm": "linf"}, "linf needs --adversarial_epsilon"),
        ({"adversarial": "fgm", "adversarial_steps": 3}, "fgm makes one step"),
        ({"adversarial": "fgm", "adversarial_alpha": 0.1}, "leave out --adversarial_alpha"),
        ({"adversarial": "fgm", "adversarial_random_start": 0.1}, "has no random start"),
        ({"adversarial": "pgd", "adversarial_random_start": 2.0}, "starts outside of the ball"),
        ({"adversarial": "awp", "adversarial_skip_special_tokens": True}, "awp perturbs weights"),
        ({"adversarial": "freelb", "adversarial_fraction": 0.5}, "freelb attacks the whole batch"),
        ({"adversarial": "vat", "adversarial_fraction": 0.5}, "vat attacks the whole batch"),
        ({"adversarial": "freelb", "adversarial_weight": 0.5}, "takes the mean of its steps"),
        ({"adversarial": "fgm", "adversarial_skip_special_tokens": True}, "needs a tokenizer"),
    ],
)
def test_settings_that_do_not_fit_the_method_are_refused(arguments, flags, message):
    with pytest.raises(ValueError, match=message) as caught:
        ExtTrainer(tiny_bert(), arguments(**flags))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ADVERSARIES)
def test_settings_reach_the_method(arguments, method):
    attack = build_attack(arguments(adversarial=method, adversarial_epsilon=0.25))
    assert type(attack) is ADVERSARIES[method]
    assert attack.settings.epsilon == 0.25
    assert attack.settings.steps == attack.default_steps


def test_the_step_is_two_and_a_half_balls_over_the_number_of_steps_unless_given(arguments):
    assert build_attack(arguments(adversarial="pgd", adversarial_epsilon=0.6)).settings.alpha == pytest.approx(0.5)
    assert build_attack(arguments(adversarial="pgd", adversarial_alpha=0.2)).settings.alpha == 0.2


def test_plain_training_arguments_attack_nothing(tmp_path):
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert build_attack(args) is None
    assert ExtTrainer(tiny_bert(), args).adversarial is None


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, "1111111111"),
        ({"adversarial_every": 3}, "1001001001"),
        ({"adversarial_start": 0.5}, "0000011111"),
        ({"adversarial_start": 0.25}, "0001111111"),
        ({"adversarial_start": 1.0}, "0000011111"),
        ({"adversarial_start": 1.0, "adversarial_every": 2}, "0000001010"),
    ],
)
def test_start_and_every_choose_the_optimizer_steps(arguments, flags, expected):
    args = arguments(adversarial="fgm", **flags)
    states = [TrainerState(global_step=step, max_steps=10, epoch=step / 5) for step in range(10)]
    assert "".join("01"[is_due(args, state)] for state in states) == expected


def surroundings(method="fgm", **changes):
    """Fake what check_surroundings asks of a trainer."""
    sizes = {name: changes.pop(name, 1) for name in ("tp", "cp", "sp")}
    args = SimpleNamespace(adversarial=method, n_gpu=changes.pop("n_gpu", 1), optim=changes.pop("optim", "adamw_torch"))
    accelerator = SimpleNamespace(is_fsdp2=changes.pop("fsdp2", False))
    trainer = SimpleNamespace(args=args, accelerator=accelerator, is_deepspeed_enabled=False, is_fsdp_enabled=False)
    for name, size in sizes.items():
        setattr(trainer, f"get_{name}_size", lambda size=size: size)
    vars(trainer).update(changes)
    return trainer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_gpu": 4}, "torchrun --nproc_per_node=4"),
        ({"is_deepspeed_enabled": True}, "does not work with DeepSpeed"),
        ({"is_fsdp_enabled": True}, "does not work with this FSDP"),
        ({"is_fsdp_enabled": True, "fsdp2": True, "method": "pgd"}, "does not work with this FSDP"),
        ({"is_fsdp_enabled": True, "fsdp2": True, "method": "awp"}, "does not work with this FSDP"),
        ({"tp": 2}, "tensor, context or sequence parallelism"),
        ({"cp": 2}, "tensor, context or sequence parallelism"),
        ({"sp": 2}, "tensor, context or sequence parallelism"),
        ({"optim": "adalomo"}, "several backward passes a step"),
        ({"optim": "galore_adamw_layerwise"}, "several backward passes a step"),
    ],
)
def test_surroundings_that_would_give_a_wrong_gradient_are_refused(arguments, changes, message):
    trainer = surroundings(**changes)
    attack = build_attack(arguments(adversarial=trainer.args.adversarial))
    with pytest.raises(ValueError, match=message) as caught:
        check_surroundings(attack, trainer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["fgm", "freelb"])
def test_other_surroundings_are_fine(arguments, method):
    attack = build_attack(arguments(adversarial=method))
    check_surroundings(attack, surroundings(method))
    check_surroundings(attack, surroundings(method, is_fsdp_enabled=True, fsdp2=True))
