"""Micro-batches of unequal size give the gradient of one batch, also where the loss is a plain mean."""

from __future__ import annotations

import pytest
import torch
from loss_scale_cases import CatchGradient, build_model, build_rows, collate, ratio_and_error
from transformers import Trainer

from hf_ext.training import ExtTrainer
from hf_ext.training.losses.mean_weights import MeanWeights

STEP = {
    "max_steps": 1,
    "max_grad_norm": 0.0,
    "per_device_train_batch_size": 3,
    "gradient_accumulation_steps": 3,
    "train_sampling_strategy": "sequential",
}


def rows_with_holes(holes=()):
    """Give eight rows, cut into micro-batches of 3, 3 and 2, of which some have no label."""
    return [row | {"labels": -100} if i in holes else row for i, row in enumerate(build_rows("stock"))]


def gradient(kind, arguments, rows, **flags):
    catch = CatchGradient()
    model = build_model("stock")
    model.accepts_loss_kwargs = False  # what ExtTrainer finds out by itself
    kwargs = {"train_dataset": rows, "data_collator": collate, "callbacks": [catch]}
    kind(model, arguments(**(STEP | flags)), **kwargs).train()
    return catch.gradients


def true_gradient(rows):
    model = build_model("stock")
    model(**collate(rows)).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("holes", [(), (0, 1, 6), (3, 4, 5)], ids=["uneven", "some without label", "a batch without"])
def test_a_step_is_the_mean_over_its_items(arguments, holes):
    rows = rows_with_holes(holes)
    found = gradient(ExtTrainer, arguments, rows)
    assert ratio_and_error(found, true_gradient(rows))[1] < 1e-12


def test_trainer_alone_counts_every_micro_batch_alike(arguments):
    rows = rows_with_holes((0, 1))
    found = gradient(Trainer, arguments, rows)
    assert ratio_and_error(found, true_gradient(rows))[1] > 0.1


def test_rdrop_and_adversarial_passes_count_likewise(arguments):
    rows = rows_with_holes((0, 1))
    plain = gradient(ExtTrainer, arguments, rows)
    doubled = gradient(ExtTrainer, arguments, rows, rdrop_alpha=1.0)  # without dropout the divergence is zero
    assert ratio_and_error(doubled, plain)[1] < 1e-12
    attacked = gradient(ExtTrainer, arguments, rows, adversarial="fgm", adversarial_epsilon=1e-12)
    assert ratio_and_error({name: value / 2 for name, value in attacked.items()}, plain)[1] < 1e-9


def test_an_evaluation_inside_of_training_is_not_weighed(arguments):
    rows = rows_with_holes((0, 1))
    kwargs = {"train_dataset": rows, "eval_dataset": rows, "data_collator": collate}
    args = arguments(**STEP, learning_rate=0.0, eval_strategy="steps", eval_steps=1, per_device_eval_batch_size=3)
    trainer = ExtTrainer(build_model("stock"), args, **kwargs)
    trainer.train()
    logged = next(line["eval_loss"] for line in trainer.state.log_history if "eval_loss" in line)
    assert logged == pytest.approx(build_model("stock").eval()(**collate(rows)).loss.item(), abs=1e-12)


def test_weights_are_shares_of_items_and_of_rows(arguments):
    trainer = ExtTrainer(build_model("stock"), arguments(**STEP))
    weights = MeanWeights(trainer, trainer.loss_scale)
    labels = [torch.tensor([0, -100, 1]), torch.tensor([-100, -100, -100]), torch.tensor([2, 1])]
    trainer.model_accepts_loss_kwargs = False
    batches = [{"labels": each} for each in labels]
    weights.prepare(batches, None)
    found = []
    for batch in batches:
        weights.begin_micro_batch(dict(batch))  # a copy is known too
        found.append([weights.weigh(torch.tensor(1.0), by_rows=by_rows).item() for by_rows in (False, True)])
    weights.begin_micro_batch({"labels": torch.tensor([1])})  # nobody prepared it
    assert weights.weigh(torch.tensor(1.0), by_rows=False) == 1
    torch.testing.assert_close(found, [[2 * 3 / 4, 3 * 3 / 8], [0.0, 3 * 3 / 8], [2 * 3 / 4, 2 * 3 / 8]])


def test_the_end_of_a_stream_is_no_step(arguments):
    trainer = ExtTrainer(build_model("stock"), arguments(**STEP))
    assert trainer.get_batch_samples(iter([]), 3, trainer.args.device) == ([], None)
