"""Masked language models in the trainer: gradient and evaluation loss are those of the dense head, however cut up."""

from __future__ import annotations

import tempfile

import masked_head_cases as cases
import pytest
import torch
from forked_runs import succeed_in_two_processes
from loss_scale_cases import ratio_and_error
from masked_models import MODELS
from safetensors.torch import load_file

from hf_ext.training import ExtTrainer


def tolerance(family):
    return 1e-6 if family == "modernbert" else 1e-12  # whose stock loss is computed in float32


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize(("family", "pairs"), MODELS)
def test_gradient_of_a_step_is_that_of_the_mean_over_all_its_masked_tokens(family, pairs, steps):
    _, error = ratio_and_error(cases.step_gradient(family, pairs, steps), cases.true_gradient(family, pairs))
    assert error <= tolerance(family)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("pairs", [False, True])
def test_evaluation_loss_is_the_mean_over_all_masked_tokens(pairs, size):
    assert cases.evaluate("bert", pairs, size) == pytest.approx(cases.true_losses("bert", pairs), rel=1e-6)


@pytest.mark.parametrize("pairs", [False, True])
def test_the_trainer_trusts_the_model_without_a_probe(pairs, tmp_path):
    model, rows = cases.build_ours("bert", pairs), cases.build_rows(pairs)
    trainer = ExtTrainer(
        model, cases.arguments(str(tmp_path), max_steps=1), train_dataset=rows, data_collator=cases.collate
    )
    trainer.train()
    assert trainer.model_accepts_loss_kwargs


def test_an_attack_on_part_of_the_rows_leaves_positions_of_the_whole_batch_out(tmp_path):
    args = cases.arguments(
        str(tmp_path), max_steps=1, adversarial="fgm", adversarial_fraction=0.5, per_device_train_batch_size=8
    )
    trainer = ExtTrainer(
        cases.build_ours("bert", False), args, train_dataset=cases.build_rows(False), data_collator=cases.collate
    )
    assert trainer.train().training_loss > 0


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    path = tmp_path_factory.mktemp("masked") / "found.safetensors"
    succeed_in_two_processes(cases.main, path)
    return load_file(path)


def select(found, *key):
    prefix = "/".join(map(str, key)) + "/"
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "pairs", "steps"), cases.ON_TWO_PROCESSES)
def test_gradient_is_the_true_one_on_two_processes(two_processes, family, pairs, steps):
    found = select(two_processes, family, pairs, steps)
    _, error = ratio_and_error(found, cases.true_gradient(family, pairs))
    assert error <= tolerance(family)


@pytest.mark.slow
@pytest.mark.parametrize("size", cases.EVAL_SIZES)
@pytest.mark.parametrize("pairs", [False, True])
def test_evaluation_loss_is_the_true_one_on_two_processes(two_processes, pairs, size):
    found = {name: value.item() for name, value in select(two_processes, "evaluation", pairs, size).items()}
    assert found == pytest.approx(cases.true_losses("bert", pairs), rel=1e-6)


@pytest.mark.slow
def test_new_rows_first_gives_the_same_weights_on_two_processes(two_processes):
    with tempfile.TemporaryDirectory() as folder:
        model, _ = cases.train_new_rows(1, folder)
    found = select(two_processes, "new rows")
    for name, weight in model.named_parameters():
        torch.testing.assert_close(found[name], weight.detach(), rtol=1e-6, atol=1e-9)
