"""A first phase that trains the rows of new tokens and leaves every other number bit by bit."""

from __future__ import annotations

import masked_head_cases as cases
import pytest
import torch
from transformers import TrainerCallback

from hf_ext.errors import UserError
from hf_ext.models.vocabulary_rows import vocabulary_weights
from hf_ext.training import ExtTrainer
from hf_ext.training.new_rows import NewRowsOnly


class Watch(TrainerCallback):
    """Copy the weights, and how many steps the optimizer has counted for each, after every step."""

    def __init__(self):
        self.weights, self.steps = [], []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.weights.append({name: weight.detach().clone() for name, weight in model.named_parameters()})

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        self.weights.append({name: weight.detach().clone() for name, weight in model.named_parameters()})
        self.steps.append(
            {
                name: int(optimizer.state[weight]["step"])
                for name, weight in model.named_parameters()
                if weight in optimizer.state
            }
        )


def tables_of(model):
    known = {id(weight) for weight in vocabulary_weights(model)}
    return {name for name, weight in model.named_parameters() if id(weight) in known}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    watch = Watch()
    model, trainer = cases.train_new_rows(1, str(tmp_path_factory.mktemp("out")), callbacks=[watch], logging_steps=1)
    return watch, tables_of(model), trainer


def test_in_the_first_phase_only_new_rows_change(watched):
    watch, tables, _ = watched
    assert len(tables) == 2
    start, middle = watch.weights[0], watch.weights[2]
    for name, weight in start.items():
        if name in tables:
            assert torch.equal(middle[name][:40], weight[:40]), name
            assert (middle[name][40:] != weight[40:]).any(), name
        else:
            assert torch.equal(middle[name], weight), name


def test_in_the_second_phase_everything_changes(watched):
    watch, tables, _ = watched
    middle, end = watch.weights[2], watch.weights[4]
    assert all(not torch.equal(end[name], middle[name]) for name in middle)
    assert all((end[name][:40] != middle[name][:40]).any() for name in tables)


def test_the_second_phase_begins_without_moments(watched):
    watch, tables, _ = watched
    in_first, after_first, in_second, _ = watch.steps
    assert in_first == dict.fromkeys(tables, 1)
    assert after_first == {}
    assert in_second == dict.fromkeys(watch.weights[0], 1)


def test_the_second_phase_is_training_from_the_weights_that_the_first_one_left(watched):
    """Adam's first step is as long as the rate whatever the gradient, so any moment that is left would show."""
    watch, _, _ = watched
    middle, after = watch.weights[2], watch.weights[3]
    for name, weight in middle.items():
        moved = (after[name] - weight * (1 - 1e-2 * 0.1 * _decays(name))).abs()
        moved = moved[moved > 5e-3]  # below are gradients of 0, or so small that epsilon counts
        torch.testing.assert_close(moved, torch.full_like(moved, 1e-2), rtol=0.05, atol=0)


def _decays(name):
    return not ("bias" in name or "LayerNorm" in name)


def test_the_norm_that_is_clipped_is_that_of_the_new_rows(tmp_path):
    """With a tiny limit Adam's step stays the same for what is trained, whatever the others' gradients were."""
    model = cases.build_ours("bert", False)
    caught = cases.CatchGradient()
    args = cases.arguments(str(tmp_path), max_steps=1, max_grad_norm=1e-3, per_device_train_batch_size=8)
    callbacks = [caught, NewRowsOnly([38, 39], 1)]
    ExtTrainer(
        model, args, train_dataset=cases.build_rows(False), data_collator=cases.collate, callbacks=callbacks
    ).train()
    whole = torch.cat([gradient.flatten() for gradient in caught.gradients.values()])
    rows = torch.cat([caught.gradients[name][[38, 39]].flatten() for name in tables_of(model)])
    assert whole.norm().item() == pytest.approx(1e-3, rel=1e-2)
    assert rows.norm().item() == pytest.approx(whole.norm().item(), rel=1e-6)


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_run_resumed_in_the_phase_or_at_its_end_is_bitwise_the_uninterrupted_one(watched, killed_after, tmp_path):
    expected = watched[0].weights[-1]

    class Kill(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == killed_after:
                control.should_training_stop = True

    saving = {"save_strategy": "steps", "save_steps": 1, "steps": 2, "max_steps": 4}
    folder = str(tmp_path / "killed")
    cases.train_new_rows(1, folder, callbacks=[Kill()], **saving)
    found, _ = cases.train_new_rows(1, folder, resume=f"{folder}/checkpoint-{killed_after}", **saving)
    assert all(torch.equal(found.get_parameter(name), weight) for name, weight in expected.items())


def test_a_run_shorter_than_the_phase_leaves_no_hook_behind(tmp_path):
    model, _ = cases.train_new_rows(1, str(tmp_path), steps=9, max_steps=1)
    model(**cases.collate(cases.build_rows(False))).loss.backward()
    assert all(weight.grad is None or weight.grad.any() for weight in model.parameters())


@pytest.mark.parametrize(("rows", "steps"), [([], 5), ([40], 0)])
def test_nothing_to_do_is_nothing_done(rows, steps, tmp_path):
    watch = NewRowsOnly(rows, steps)
    model = cases.build_ours("bert", False)
    args = cases.arguments(str(tmp_path), max_steps=1)
    ExtTrainer(
        model, args, train_dataset=cases.build_rows(False), data_collator=cases.collate, callbacks=[watch]
    ).train()
    assert not watch._hooks


def test_frozen_rows_are_refused(tmp_path):
    model = cases.build_ours("bert", False)
    for weight in vocabulary_weights(model):
        weight.requires_grad_(False)
    args = cases.arguments(str(tmp_path), max_steps=1)
    callbacks = [NewRowsOnly([39], 2)]
    trainer = ExtTrainer(
        model, args, train_dataset=cases.build_rows(False), data_collator=cases.collate, callbacks=callbacks
    )
    with pytest.raises(UserError, match="frozen"):
        trainer.train()


def test_sharded_weights_are_refused(tmp_path):
    args = cases.arguments(str(tmp_path))
    args.fsdp = "full_shard"
    with pytest.raises(UserError, match="FSDP"):
        NewRowsOnly([39], 2).on_train_begin(args, _State(), None, model=None)


class _State:
    global_step = 0
