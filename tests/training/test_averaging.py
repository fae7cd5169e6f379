"""The mean of checkpoints: by hand from the files, which of them are chosen, and what is refused beforehand."""

from __future__ import annotations

import json
import logging
import shutil

import pytest
import torch
from average_cases import run
from safetensors.torch import load_file, save_file
from torch import nn
from training_models import SIZES, tiny_bert
from transformers import BertConfig, TrainerCallback

from hf_ext.errors import UserError
from hf_ext.models import ExtConfig, ExtForSequenceClassification, LabelSchema, TaskSchema
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.averages.averaging import average_checkpoints

EVERY_STEP = {"save_strategy": "steps", "save_steps": 1}
SCORED = {**EVERY_STEP, "eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "score"}


def mean_by_hand(folder, steps, name="model.safetensors"):
    """Average files in float64, as they lie on disk."""
    files = [load_file(folder / f"checkpoint-{step}" / name) for step in steps]
    return {key: sum(file[key].double() for file in files) / len(files) for key in files[0]}


def assert_is_mean(model, expected):
    found = model.state_dict()
    assert expected.keys() <= found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value.to(found[name].dtype)), name


def scripted(scores):
    following = iter(scores)
    return {"compute_metrics": lambda prediction: {"score": next(following)}}


def test_the_model_ends_as_the_mean_of_the_last_checkpoints(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="hf_ext.training.averages.checkpoint_choice"):
        trainer = run(tmp_path, average_checkpoints=3, **EVERY_STEP)
    assert_is_mean(trainer.model, mean_by_hand(tmp_path, [4, 5, 6]))
    assert "average of 3 checkpoints: checkpoint-4, checkpoint-5, checkpoint-6." in caplog.text
    expected = trainer.evaluate()["eval_loss"]
    trainer.save_model()
    assert_is_mean(trainer.model, {name: t.double() for name, t in load_file(tmp_path / "model.safetensors").items()})
    reloaded = ExtTrainer(type(trainer.model).from_pretrained(tmp_path), trainer.args, eval_dataset=[])
    assert reloaded.evaluate(trainer.eval_dataset)["eval_loss"] == expected


@pytest.mark.parametrize(
    ("greater", "metric", "steps"), [(True, "score", [2, 4]), (False, "score", [3, 5]), (True, "eval_score", [2, 4])]
)
def test_the_best_are_chosen_by_the_metric_and_its_direction(tmp_path, caplog, greater, metric, steps):
    scores = [0.5, 0.9, 0.1, 0.8, 0.2, 0.6]
    settings = {**SCORED, "metric_for_best_model": metric, "greater_is_better": greater}
    with caplog.at_level(logging.INFO, logger="hf_ext.training.averages.checkpoint_choice"):
        trainer = run(
            tmp_path,
            average_checkpoints=2,
            average_checkpoints_by="best",
            trainer_settings=scripted(scores),
            **settings,
        )
    assert_is_mean(trainer.model, mean_by_hand(tmp_path, steps))
    for step in steps:
        assert f"checkpoint-{step} (score {scores[step - 1]})" in caplog.text


def test_of_equal_scores_the_later_checkpoint_counts_and_nan_never(tmp_path):
    scores = [0.5, 0.5, float("nan"), 0.5, 0.1, 0.1]
    trainer = run(
        tmp_path,
        average_checkpoints=2,
        average_checkpoints_by="best",
        trainer_settings=scripted(scores),
        greater_is_better=True,
        **SCORED,
    )
    assert_is_mean(trainer.model, mean_by_hand(tmp_path, [2, 4]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"save_strategy": "no"}, "needs checkpoints: add --save_strategy"),
        ({"save_total_limit": 2}, "--save_total_limit 2 deletes the others"),
        ({"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 1}, "both decide the final weights"),
        ({"average_checkpoints_by": "best"}, "add --metric_for_best_model"),
        ({**SCORED, "average_checkpoints_by": "best", "eval_steps": 4, "save_steps": 2}, "as often as you save"),
        ({**SCORED, "average_checkpoints_by": "best", "eval_strategy": "epoch"}, "as often as you save"),
        ({"ema_decay": 0.9}, "both decide the final weights"),
        ({"average_checkpoints": 1}, "at least 2"),
    ],
)
def test_what_cannot_be_averaged_is_refused_with_the_arguments(tmp_path, changes, words):
    common = {"output_dir": str(tmp_path), "use_cpu": True, "average_checkpoints": 3, **EVERY_STEP}
    with pytest.raises(ValueError, match=words):
        ExtTrainingArguments(**{**common, **changes})


@pytest.mark.parametrize("fine", [{"eval_steps": 1, "save_steps": 3}, {"eval_steps": 0.1, "save_steps": 0.2}])
def test_evaluations_may_be_more_frequent_than_checkpoints(tmp_path, fine):
    common = {"output_dir": str(tmp_path), "use_cpu": True, "average_checkpoints": 2, "average_checkpoints_by": "best"}
    ExtTrainingArguments(**{**common, **SCORED, **fine})


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"save_strategy": "steps", "save_steps": 4}, 2),
        ({"save_strategy": "steps", "save_steps": 3}, 2),
        ({"save_strategy": "steps", "save_steps": 100}, 1),
        ({"save_strategy": "epoch", "max_steps": -1, "num_train_epochs": 2}, 2),
        ({"save_strategy": "epoch", "max_steps": 4}, 2),
    ],
)
def test_too_few_checkpoints_are_foretold_before_the_first_step(tmp_path, changes, count):
    with pytest.raises(UserError, match=rf"this run ends with {count} checkpoint\(s\)") as caught:
        run(tmp_path, average_checkpoints=count + 1, **changes)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("checkpoint-*"))
    if count > 1:
        run(tmp_path, average_checkpoints=count, **changes)
        assert len(list(tmp_path.glob("checkpoint-*"))) == count


def test_if_fewer_are_left_those_are_averaged_with_a_warning(tmp_path, caplog):
    class StopEarly(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop = state.global_step == 2
            return control

    trainer = run(tmp_path, average_checkpoints=4, callbacks=[StopEarly()], **EVERY_STEP)
    assert "--average_checkpoints 4: only 2 can be averaged." in caplog.text
    assert_is_mean(trainer.model, mean_by_hand(tmp_path, [1, 2]))


def test_checkpoints_of_an_earlier_run_in_the_folder_do_not_count(tmp_path):
    run(tmp_path, **{**EVERY_STEP, "max_steps": 8, "seed": 7})
    trainer = run(tmp_path, average_checkpoints=3, **{**EVERY_STEP, "save_steps": 2})
    assert_is_mean(trainer.model, mean_by_hand(tmp_path, [2, 4, 6]))


@pytest.mark.slow
def test_a_resumed_run_counts_its_own_checkpoints_and_no_others(tmp_path):
    settings = {"average_checkpoints": 4, "save_strategy": "steps", "save_steps": 2, "max_steps": 8}
    whole = run(tmp_path / "whole", **settings)
    run(tmp_path / "cut", **{**EVERY_STEP, "seed": 7})  # an earlier run leaves 1 to 6
    other = run(tmp_path / "other", **settings)
    for step in (2, 4):
        shutil.rmtree(tmp_path / "cut" / f"checkpoint-{step}")
        shutil.copytree(tmp_path / "other" / f"checkpoint-{step}", tmp_path / "cut" / f"checkpoint-{step}")
    resumed = run(tmp_path / "cut", resume=str(tmp_path / "cut" / "checkpoint-4"), **settings)
    assert resumed.averaging.steps == {2, 4, 6, 8}
    expected = mean_by_hand(tmp_path / "whole", [2, 4, 6, 8])
    for trainer in (whole, other, resumed):
        assert_is_mean(trainer.model, expected)


def test_a_torn_checkpoint_is_one_line(tmp_path):
    run(tmp_path, **EVERY_STEP)
    path = tmp_path / "checkpoint-2" / "model.safetensors"
    weights = load_file(path)
    del weights["classifier.bias"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the checkpoint lacks weights of this model: classifier\.bias"):
        average_checkpoints(tiny_bert(), [tmp_path / "checkpoint-1", tmp_path / "checkpoint-2"])


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_checkpoint_is_one_line(tmp_path, name):
    run(tmp_path, **{**EVERY_STEP, "max_steps": 2})
    path = tmp_path / "checkpoint-2" / name
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="the checkpoint cannot be read") as caught:
        average_checkpoints(tiny_bert(), [tmp_path / "checkpoint-1", tmp_path / "checkpoint-2"])
    assert "\n" not in str(caught.value)


def test_whole_numbers_come_from_the_newest_checkpoint_and_floats_are_averaged(tmp_path):
    model = nn.BatchNorm1d(2)
    for step, count in ((1, 10), (2, 30)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        state = {name: torch.full_like(tensor, step) for name, tensor in model.state_dict().items()}
        state["num_batches_tracked"] = torch.tensor(count)
        save_file(state, tmp_path / f"checkpoint-{step}" / "model.safetensors")
    average_checkpoints(model, [tmp_path / "checkpoint-1", tmp_path / "checkpoint-2"])
    assert model.num_batches_tracked == 30
    assert torch.equal(model.running_mean, torch.tensor([1.5, 1.5]))
    assert torch.equal(model.weight, torch.tensor([1.5, 1.5]))


def test_the_sum_is_exact_where_float32_would_lose_digits(tmp_path):
    model, values = nn.Linear(1, 1), [1e8, 1.0, -1e8]
    folders = []
    for step, value in enumerate(values):
        folders.append(tmp_path / f"checkpoint-{step}")
        folders[-1].mkdir()
        state = {"weight": torch.tensor([[value]]), "bias": torch.tensor([value])}
        save_file(state, folders[-1] / "model.safetensors")
    average_checkpoints(model, folders)
    assert model.weight.item() == torch.tensor(1 / 3, dtype=torch.float32).item()


def test_our_models_are_averaged_in_their_own_dtype(tmp_path):
    torch.manual_seed(0)
    config = ExtConfig(encoder_config=BertConfig(**SIZES), pooler="mean")
    TaskSchema(labels=LabelSchema(names=("a", "b", "c"))).write_into(config)
    trainer = run(tmp_path, model=ExtForSequenceClassification(config), average_checkpoints=2, **EVERY_STEP)
    assert_is_mean(trainer.model, mean_by_hand(tmp_path, [5, 6]))


def test_of_a_lora_model_the_adapter_is_averaged(tmp_path):
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    lora = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    model = get_peft_model(tiny_bert(), lora)
    run(tmp_path, model=model, average_checkpoints=2, **EVERY_STEP)
    found = get_peft_model_state_dict(model)
    expected = mean_by_hand(tmp_path, [5, 6], "adapter_model.safetensors")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value.float())


def test_several_adapters_are_refused(tmp_path):
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    model = get_peft_model(tiny_bert(), lora)
    model.add_adapter("second", lora)
    with pytest.raises(ValueError, match="averages one adapter, not 2"):
        run(tmp_path, model=model, average_checkpoints=2, **EVERY_STEP)


def test_the_checkpoints_hold_what_the_mean_was_taken_of(tmp_path):
    plain = run(tmp_path / "plain", **EVERY_STEP)
    run(tmp_path / "mean", average_checkpoints=2, **EVERY_STEP)
    name = "checkpoint-6/model.safetensors"
    assert (tmp_path / "mean" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    log = json.loads((tmp_path / "mean" / "checkpoint-6" / "trainer_state.json").read_text(encoding="utf-8"))
    assert [e["loss"] for e in log["log_history"]] == [e["loss"] for e in plain.state.log_history if "loss" in e]
