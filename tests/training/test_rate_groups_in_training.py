"""Rates while training: the optimizer's step, the log, the table, the floor of the cosine, and the resume."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
import rate_group_cases as cases
import torch
from family_models import lora, ours, stock, tagger
from forked_runs import succeed_in_two_processes
from torch import nn
from training_models import tiny_bert
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import SchedulerType

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer
from hf_ext.training.checkpoints.manifest import MANIFEST
from hf_ext.training.optimization.group_record import PARAMETER_GROUPS_JSON, GroupRecord, first_difference

BASE, HEAD, DECAY, WEIGHT_DECAY = 1e-3, 7e-3, 0.5, 0.01
FLAGS = {"learning_rate": BASE, "head_learning_rate": HEAD, "layerwise_lr_decay": DECAY, "weight_decay": WEIGHT_DECAY}
ONCE = {"max_steps": 1, "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "per_device_train_batch_size": 4}


class CatchGradient(TrainerCallback):
    """Keep the weights and the gradients that the optimizer is about to use."""

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        self.gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}


def test_one_step_is_that_of_adamw_with_groups_made_by_hand(arguments, rows, bert):
    catch = CatchGradient()
    args = arguments(**FLAGS, **ONCE, optim="adamw_torch")
    ExtTrainer(bert, args, train_dataset=rows, callbacks=[catch]).train()
    copies = {name: nn.Parameter(weight.clone()) for name, weight in catch.before.items()}
    for name, gradient in catch.gradients.items():
        copies[name].grad = gradient
    by_hand = []
    for name, parameter in copies.items():
        rate = HEAD if name.startswith("classifier") else BASE
        rate = BASE * 0.25 if name.startswith("bert.embeddings.") else rate
        rate = BASE * 0.5 if name.startswith("bert.encoder.layer.0.") else rate
        decays = name.endswith("weight") and "LayerNorm" not in name
        by_hand.append({"params": [parameter], "lr": rate, "weight_decay": WEIGHT_DECAY if decays else 0.0})
    torch.optim.AdamW(by_hand, betas=(0.9, 0.999), eps=1e-8).step()
    for name, weight in bert.named_parameters():
        torch.testing.assert_close(weight, copies[name], rtol=0, atol=1e-7)
        assert not torch.equal(weight, catch.before[name])


@pytest.mark.parametrize("build", [lambda: stock("xlnet"), ours, tagger, lambda: lora(stock("bert"))])
def test_the_optimizer_holds_the_groups_whatever_the_model(build, arguments):
    trainer = ExtTrainer(build(), arguments(**FLAGS))
    groups = trainer.create_optimizer().param_groups
    members = sorted(id(parameter) for group in groups for parameter in group["params"])
    assert members == sorted(id(parameter) for parameter in trainer.model.parameters() if parameter.requires_grad)
    assert {HEAD, BASE, BASE * 0.5, BASE * 0.25} <= {group["lr"] for group in groups}
    assert groups[0]["lr"] == BASE
    assert trainer.optimizer_cls_and_kwargs is None  # as it was


def test_with_plain_arguments_only_the_decay_is_corrected(tmp_path, caplog):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    args = TrainingArguments(output_dir=str(tmp_path), weight_decay=WEIGHT_DECAY, use_cpu=True)
    theirs = Trainer(model, args).create_optimizer().param_groups
    with caplog.at_level(logging.INFO, "hf_ext"):
        trainer = ExtTrainer(model, args)
        found = trainer.create_optimizer().param_groups
    assert [len(group["params"]) for group in theirs] == [2, 2]  # BatchNorm's weight decays in Trainer
    assert [len(group["params"]) for group in found] == [1, 3]
    assert trainer.group_record is None
    assert not caplog.records


def test_a_given_class_keeps_its_rate_given_or_its_own(arguments, bert):
    for options, rate in [({"lr": 0.5, "momentum": 0.1}, 0.5), ({}, 1e-3)]:
        trainer = ExtTrainer(bert, arguments(learning_rate=1e-5), optimizer_cls_and_kwargs=(torch.optim.SGD, options))
        assert {group["lr"] for group in trainer.create_optimizer().param_groups} == {rate}
        args = arguments(learning_rate=1e-5, layerwise_lr_decay=0.1)
        trainer = ExtTrainer(bert, args, optimizer_cls_and_kwargs=(torch.optim.SGD, options))
        assert trainer.create_optimizer().param_groups[0]["lr"] == rate
        assert options in ({"lr": 0.5, "momentum": 0.1}, {})


def factory():
    return lambda model, **options: torch.optim.SGD(model.parameters(), **options)


def test_an_optimizer_that_chooses_its_parameters_is_left_alone_but_refuses_rates(arguments, bert):
    own = {"params": [{"params": list(bert.classifier.parameters())}], "lr": 0.1}
    for choice in [(torch.optim.SGD, own), (factory, {"lr": 0.1}), (torch.optim.SGD, {"lr": torch.tensor(0.1)})]:
        trainer = ExtTrainer(bert, arguments(), optimizer_cls_and_kwargs=choice)
        assert float(trainer.create_optimizer().param_groups[0]["lr"]) == pytest.approx(0.1)
        assert trainer.group_record is None
        assert trainer.optimizer_cls_and_kwargs is choice
        trainer = ExtTrainer(bert, arguments(head_learning_rate=1e-3), optimizer_cls_and_kwargs=choice)
        with pytest.raises(ValueError, match=r"itself; leave out --head_learning_rate\.$"):
            trainer.create_optimizer()
    assert "params" in own
    given = (torch.optim.SGD(bert.parameters(), lr=0.1), None)
    assert ExtTrainer(bert, arguments(), optimizers=given).create_optimizer() is given[0]
    with pytest.raises(ValueError, match=r"The optimizer given to the trainer chooses .*--layerwise_lr_decay"):
        ExtTrainer(bert, arguments(layerwise_lr_decay=0.9), optimizers=given).create_optimizer()


def test_training_twice_keeps_the_optimizer_and_its_groups(arguments, rows, bert):
    trainer = ExtTrainer(bert, arguments(**FLAGS), train_dataset=rows)
    trainer.train()
    record = trainer.group_record
    trainer.train()
    assert trainer.group_record is record


# --- log and table ----------------------------------------------------------------------------------------------------


def test_every_rate_is_logged_by_name_as_it_was_at_that_step(arguments, rows, bert):
    args = arguments(**FLAGS, max_steps=4, logging_steps=1, lr_scheduler_type="linear")
    trainer = ExtTrainer(bert, args, train_dataset=rows)
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "learning_rate" in entry]
    assert len(logs) == 4
    for step, entry in enumerate(logs):
        left = 1 - step / 4
        rates = {key.removeprefix("learning_rate/"): value for key, value in entry.items() if "rate/" in key}
        assert rates == pytest.approx(
            {
                "layer 1 + encoder rest": BASE * left,
                "embeddings": BASE * 0.25 * left,
                "layer 0": BASE * 0.5 * left,
                "head": HEAD * left,
            }
        )
        assert entry["learning_rate"] == rates["layer 1 + encoder rest"]


@pytest.mark.parametrize("flags", [{}, {"head_learning_rate": BASE}, {"layerwise_lr_decay": 1.0}])
def test_one_rate_is_logged_once(flags, arguments, rows, bert):
    trainer = ExtTrainer(bert, arguments(learning_rate=BASE, logging_steps=1, **flags), train_dataset=rows)
    trainer.train()
    assert not any("learning_rate/" in key for entry in trainer.state.log_history for key in entry)


def test_the_table_at_the_start_lists_every_group(arguments, rows, bert, caplog):
    with caplog.at_level(logging.INFO, "hf_ext"):
        ExtTrainer(bert, arguments(**FLAGS), train_dataset=rows).train()
    tables = [record.getMessage() for record in caplog.records if "groups" in record.getMessage()]
    assert len(tables) == 1
    lines = tables[0].splitlines()[1:]
    assert lines[0].split("  ")[0] == "group"
    cells = {line[: lines[0].index("weights") - 3].strip(): line.split() for line in lines[1:]}
    assert [line.split("  ")[0] for line in lines[1:]][-2:] == ["head", "head, no decay"]
    assert cells["head"][-4:] == [str(16 * 3), "1", "0.007", "0.01"]
    assert cells["head, no decay"][-4:] == ["3", "1", "0.007", "0"]
    weights = sum(int(line.split()[-4].replace(",", "")) for line in lines[1:])
    assert weights == sum(weight.numel() for weight in bert.parameters())
    assert len({len(line) for line in lines}) == 1


# --- schedule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cosine", "cosine_with_min_lr", SchedulerType.COSINE])
def test_every_group_falls_to_its_own_floor(kind, arguments, rows, bert):
    ratio, warmup, steps = 0.2, 2, 8
    args = arguments(
        **FLAGS, max_steps=steps, logging_steps=1, lr_scheduler_type=kind, min_lr_ratio=ratio, warmup_steps=warmup
    )
    assert args.lr_scheduler_type == "cosine_with_min_lr"
    trainer = ExtTrainer(bert, args, train_dataset=rows)
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "learning_rate" in entry]
    for step, entry in enumerate(logs):
        t = (step - warmup) / (steps - warmup)
        factor = step / warmup if step < warmup else ratio + (1 - ratio) * (1 + math.cos(math.pi * t)) / 2
        assert entry["learning_rate"] == pytest.approx(BASE * factor)
        assert entry["learning_rate/head"] == pytest.approx(HEAD * factor)
        assert entry["learning_rate/embeddings"] == pytest.approx(BASE * 0.25 * factor)
    final = [group["lr"] for group in trainer.optimizer.param_groups]
    assert final == pytest.approx([group["initial_lr"] * ratio for group in trainer.optimizer.param_groups])


def test_the_floor_needs_a_cosine_and_is_given_once(arguments):
    with pytest.raises(ValueError, match="add --lr_scheduler_type cosine, not linear"):
        arguments(min_lr_ratio=0.1)
    for options in ({"min_lr": 1e-6}, {"min_lr_rate": 0.3}, '{"min_lr": 1e-6}'):
        with pytest.raises(ValueError, match="leave one of them out"):
            arguments(min_lr_ratio=0.1, lr_scheduler_type="cosine", lr_scheduler_kwargs=options)
    args = arguments(min_lr_ratio=0.1, lr_scheduler_type="cosine", lr_scheduler_kwargs='{"num_cycles": 1.5}')
    assert args.lr_scheduler_kwargs == {"num_cycles": 1.5, "min_lr_rate": 0.1}
    again = arguments(
        min_lr_ratio=0.1, lr_scheduler_type=args.lr_scheduler_type, lr_scheduler_kwargs=args.lr_scheduler_kwargs
    )
    assert again.lr_scheduler_kwargs == args.lr_scheduler_kwargs


# --- resume -----------------------------------------------------------------------------------------------------------


def save_at_two(arguments, rows, **flags):
    """Train four steps with a checkpoint after two; give the model and the checkpoint's folder."""
    model = tiny_bert()
    args = arguments(max_steps=4, save_strategy="steps", save_steps=2, **flags)
    ExtTrainer(model, args, train_dataset=rows).train()
    return model, Path(args.output_dir) / "checkpoint-2"


def resume(arguments, rows, checkpoint, **flags):
    model = tiny_bert()
    ExtTrainer(model, arguments(max_steps=4, **flags), train_dataset=rows).train(resume_from_checkpoint=str(checkpoint))
    return model


def test_a_resumed_run_ends_bitwise_as_the_uninterrupted_one(arguments, rows, caplog):
    flags = {**FLAGS, "lr_scheduler_type": "cosine", "min_lr_ratio": 0.1}
    whole, checkpoint = save_at_two(arguments, rows, **flags)
    resumed = resume(arguments, rows, checkpoint, **flags)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert "cannot be compared" not in caplog.text
    saved = json.loads((checkpoint / PARAMETER_GROUPS_JSON).read_text(encoding="utf-8"))["groups"]
    assert sum(group["size"] for group in saved) == sum(weight.numel() for weight in whole.parameters())


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"head_learning_rate": 5e-3}, "the learning rate of group 'head' was 0.007 and is now 0.005"),
        ({"learning_rate": 1e-4}, "the learning rate of group 'layer 1 + encoder rest' was 0.001 and is now 0.0001"),
        ({"weight_decay": 0.1}, "the weight decay of group 'layer 1 + encoder rest' was 0.01 and is now 0.1"),
        ({"layerwise_lr_decay": None}, "group 'layer 1 + encoder rest' is now group 'encoder'"),
        ({"layerwise_lr_decay": 0.9}, "the learning rate of group 'embeddings' was 0.00025 and is now 0.00081"),
        ({"learning_rate_mapping": {"classifier": HEAD}}, "group 'head' is now group \"regex 'classifier'\""),
        ({"learning_rate_mapping": {"pooler": 1.0}}, "group 'layer 1 + encoder rest' is now group 'layer 1'"),
        (
            {"learning_rate_mapping": {"r.dense.b": 1.0}},
            "bert.pooler.dense.bias was in group 'layer 1 + encoder rest, no",
        ),
    ],
)
def test_resuming_with_other_groups_is_one_line_that_names_the_difference(changes, difference, arguments, rows):
    _, checkpoint = save_at_two(arguments, rows, **FLAGS)
    with pytest.raises(UserError) as caught:
        resume(arguments, rows, checkpoint, **{**FLAGS, **changes})
    assert difference in str(caught.value)
    assert "resume with the flags of that run" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_freezing_on_resume_is_named_too(arguments, rows):
    _, checkpoint = save_at_two(arguments, rows, **FLAGS)
    model = tiny_bert()
    model.bert.encoder.layer[0].attention.self.query.weight.requires_grad_(False)
    with pytest.raises(UserError, match=r"layer\.0\.attention\.self\.query\.weight was in group 'layer 0'"):
        ExtTrainer(model, arguments(max_steps=4, **FLAGS), train_dataset=rows).train(
            resume_from_checkpoint=str(checkpoint)
        )


@pytest.mark.parametrize("first", [Trainer, ExtTrainer])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_without_rates_checkpoints_go_from_trainer_to_ours_and_back(
    first, plain, weight_decay, arguments, rows, caplog
):
    second = ExtTrainer if first is Trainer else Trainer
    settings = {"weight_decay": weight_decay, "save_strategy": "steps", "save_steps": 2}
    args = arguments(max_steps=4, **settings)
    if plain:
        args = TrainingArguments(output_dir=args.output_dir, use_cpu=True, disable_tqdm=True, max_steps=4, **settings)
    whole, resumed = tiny_bert(), tiny_bert()
    first(whole, args, train_dataset=rows).train()
    checkpoint = str(Path(args.output_dir) / "checkpoint-2")
    second(resumed, args, train_dataset=rows).train(resume_from_checkpoint=checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert ("cannot be compared" in caplog.text) == (second is ExtTrainer and not plain)


def test_a_damaged_record_is_one_line(arguments, rows):
    _, checkpoint = save_at_two(arguments, rows, **FLAGS)
    (checkpoint / MANIFEST).unlink()  # which would tell before
    for text in ("", "[]", '{"groups": [{"name": "layer 1 + encoder rest"}]}', '{"groups": 3}'):
        (checkpoint / PARAMETER_GROUPS_JSON).write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"parameter_groups\.json:? cannot be read"):
            resume(arguments, rows, checkpoint, **FLAGS)


def record(*groups):
    """Make a record of groups given as (name, rate, weight decay, names of parameters of one weight)."""
    names = {}
    made = []
    for name, rate, decay, members in groups:
        parameters = [nn.Parameter(torch.zeros(1)) for _ in members]
        names.update({id(p): member for p, member in zip(parameters, members, strict=True)})
        made.append({"name": name, "lr": rate, "weight_decay": decay, "params": parameters})
    return GroupRecord(made, names).groups


def test_first_differences_that_a_run_hardly_gives():
    one = record(("a", 1.0, 0.0, ["x", "y"]))
    assert first_difference(one, record(("a", 1.0, 0.0, ["x", "y"]))) is None
    assert (
        first_difference(one, record(("a", 1.0, 0.0, ["y", "x"])))
        == "the parameters of group 'a' stand in another order"
    )
    two = record(("a", 1.0, 0.0, ["x", "y"]), ("b", 2.0, 0.0, ["z"]))
    assert first_difference(one, two) == "group 'b' is new"
    assert first_difference(two, one) == "group 'b' is gone"
    assert first_difference(one, [{**one[0], "size": 3}]) is None  # this process's part of sharded weights
    assert first_difference(one, record(("a", 1.0, 0.0, ["x"]))) == "y was in group 'a' (2 parameters then, 1 now)"


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_resume_bitwise_and_refuse_other_groups(tmp_path):
    succeed_in_two_processes(cases.main, tmp_path)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["equal"] == [True, True]
    assert all("the learning rate of group 'head' was 0.007 and is now 0.5" in error for error in found["errors"])
    assert found["tables"] == [1, 0]  # the main process alone
