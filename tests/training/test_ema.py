"""The moving average of the weights: its formula, what sees it, and that it goes on exactly where it stopped."""

from __future__ import annotations

import logging
from pathlib import Path

import average_cases as cases
import numpy as np
import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from average_cases import DECAY, RecordWeights, average_by_hand, copy_of, run
from forked_runs import succeed_in_two_processes
from safetensors.torch import load_file
from torch import nn
from training_models import tiny_bert
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, TrainerCallback, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.averages.ema import EMA_FILE, WeightAverage, decay_at

STEPS = {"save_strategy": "steps", "save_steps": 3}
EVALUATED = {"eval_strategy": "steps", "eval_steps": 1}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name


def assert_near(found, expected, tolerance=1e-6):
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name].double(), expected[name].double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("step", "expected"), [(1, 2 / 11), (8, 0.5), (989, 990 / 999), (8990, 0.999), (10**6, 0.999)])
def test_the_decay_grows_to_the_one_asked_for(step, expected):
    assert decay_at(step, 0.999) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_average_is_that_of_a_hand_loop_over_the_recorded_weights(tmp_path, accumulation):
    record = RecordWeights()
    trainer = run(
        tmp_path,
        ema_decay=DECAY,
        callbacks=[record],
        max_steps=15,
        gradient_accumulation_steps=accumulation,
    )
    expected = average_by_hand(record.weights)
    assert len(record.weights) == 16
    assert_near(trainer.ema.average.averages, expected)
    assert_near(copy_of(trainer.model), expected)
    moved = [(record.weights[-1][name] - expected[name]).abs().max().item() for name in expected]
    assert max(moved) > 1e-3


def test_training_is_bitwise_the_same_as_without_an_average(tmp_path):
    plain = run(tmp_path / "plain", **EVALUATED, **STEPS)
    other = run(tmp_path / "ema", ema_decay=DECAY, ema_save=False, **EVALUATED, **STEPS)
    assert_equal(copy_of(other.model), copy_of(plain.model))

    def losses(trainer):
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    assert losses(other) == losses(plain)
    for step in (3, 6):
        name = f"checkpoint-{step}/model.safetensors"
        assert (tmp_path / "ema" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


class KeepAverages(TrainerCallback):
    """Copy the average at each evaluation; the trainer is set after it has been built."""

    def __init__(self):
        self.found = {}

    def on_evaluate(self, args, state, control, model=None, **kwargs):
        self.found[state.global_step] = copy_of(model)


@pytest.mark.parametrize("averaged", [True, False])
def test_evaluations_while_training_see_the_average_if_they_shall(tmp_path, averaged):
    record = RecordWeights()
    trainer = run(tmp_path, ema_decay=DECAY, ema_evaluate=averaged, callbacks=[record], **EVALUATED)
    scores = {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    for step in (1, 4, 6):
        weights = average_by_hand(record.weights[: step + 1]) if averaged else record.weights[step]
        trainer.model.load_state_dict(weights, strict=False)
        assert trainer.evaluate()["eval_loss"] == pytest.approx(scores[step], rel=1e-6)


def test_callbacks_see_the_models_own_weights_and_after_training_the_average(tmp_path):
    keep, record = KeepAverages(), RecordWeights()
    trainer = run(tmp_path, ema_decay=DECAY, callbacks=[keep, record], **EVALUATED)
    for step in (1, 6):
        assert_equal(keep.found[step], record.weights[step])
    trainer.evaluate()
    assert_equal(copy_of(trainer.model), trainer.ema.average.averages)


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("kept", [True, False])
def test_a_resumed_run_ends_bitwise_with_the_weights_and_the_average_of_the_uninterrupted_one(
    tmp_path, accumulation, kept
):
    settings = {"ema_decay": DECAY, "ema_save": kept, "gradient_accumulation_steps": accumulation, **STEPS}
    whole = run(tmp_path / "whole", **settings, **EVALUATED)

    class Killed(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", callbacks=[Killed()], **settings, **EVALUATED)
    resumed = run(tmp_path / "cut", resume=True, **settings, **EVALUATED)
    assert_equal(resumed.ema.average.averages, whole.ema.average.averages)
    assert_equal(copy_of(resumed.model), copy_of(whole.model))
    last = Path("checkpoint-6") / EMA_FILE
    assert (tmp_path / "cut" / last).read_bytes() == (tmp_path / "whole" / last).read_bytes()


def test_a_skipped_optimizer_step_is_none_for_the_average(tmp_path, monkeypatch):
    calls = []

    def was_skipped(self):
        calls.append(None)
        return True

    monkeypatch.setattr(AcceleratedOptimizer, "step_was_skipped", property(was_skipped))
    trainer = run(tmp_path, ema_decay=DECAY, ema_save=False, max_steps=3)
    assert calls
    assert_equal(trainer.ema.average.averages, copy_of(tiny_bert()))


@pytest.mark.parametrize("kept", [True, False])
def test_the_saved_model_has_the_average_or_its_own_weights(tmp_path, kept):
    record = RecordWeights()
    trainer = run(tmp_path, ema_decay=DECAY, ema_save=kept, callbacks=[record])
    trainer.save_model()
    saved = load_file(tmp_path / "model.safetensors")
    if kept:
        assert_near(saved, average_by_hand(record.weights))
    else:
        assert_equal(saved, record.weights[-1])
    assert not (tmp_path / EMA_FILE).exists()


def scripted(scores):
    """Give a metric that takes the scores as they come."""
    following = iter(scores)
    return {"compute_metrics": lambda prediction: {"score": next(following)}}


BEST = {"load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": True}
BEST |= {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}


@pytest.mark.parametrize(("evaluated", "kept"), [(True, True), (False, True), (True, False), (False, False)])
def test_the_best_checkpoint_gives_its_average_or_its_own_weights(tmp_path, caplog, evaluated, kept):
    record = RecordWeights()
    with caplog.at_level(logging.WARNING, logger="hf_ext.training.averages.ema"):
        trainer = run(
            tmp_path,
            ema_decay=DECAY,
            ema_evaluate=evaluated,
            ema_save=kept,
            callbacks=[record],
            trainer_settings=scripted([0.1, 0.9, 0.5]),
            **BEST,
        )
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-4")
    expected = average_by_hand(record.weights[:5]) if kept else record.weights[4]
    assert_near(copy_of(trainer.model), expected, 1e-6 if kept else 0.0)
    assert ("set --ema_evaluate and --ema_save alike" in caplog.text) is (evaluated != kept)


def test_an_evaluation_that_fails_gives_the_weights_back(tmp_path):
    trainer = run(tmp_path, ema_decay=DECAY, ema_save=False)
    own = copy_of(trainer.model)

    def fail():
        with trainer.ema.average.applied(trainer.model):
            assert_equal(copy_of(trainer.model), trainer.ema.average.averages)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert_equal(copy_of(trainer.model), own)


def test_an_evaluation_after_a_broken_run_sees_the_models_own_weights(tmp_path):
    class Broken(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            raise RuntimeError("broken")

    args = ExtTrainingArguments(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, ema_decay=DECAY)
    rows = cases.build_rows()
    trainer = ExtTrainer(tiny_bert(), args, train_dataset=rows, eval_dataset=rows, callbacks=[Broken()])
    with pytest.raises(RuntimeError, match="broken"):
        trainer.train()
    found = trainer.evaluate()["eval_loss"]
    plain = ExtTrainer(trainer.model, ExtTrainingArguments(output_dir=str(tmp_path), use_cpu=True), eval_dataset=rows)
    assert found == plain.evaluate()["eval_loss"]


def test_a_second_run_begins_anew(tmp_path):
    trainer = run(tmp_path, ema_decay=DECAY)
    record = RecordWeights()
    trainer.add_callback(record)
    trainer.train()
    assert_near(copy_of(trainer.model), average_by_hand(record.weights))


def test_a_checkpoint_without_an_average_is_refused(tmp_path):
    run(tmp_path, **STEPS)
    with pytest.raises(UserError, match=r"holds no ema\.safetensors: it was written without --ema_decay") as caught:
        run(tmp_path, resume=True, ema_decay=DECAY, **STEPS)
    assert "\n" not in str(caught.value)


def test_a_damaged_average_is_one_line(tmp_path):
    run(tmp_path, ema_decay=DECAY, **STEPS)
    path = tmp_path / "checkpoint-6" / EMA_FILE
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"ema\.safetensors cannot be read") as caught:
        WeightAverage(DECAY).load(tmp_path / "checkpoint-6", tiny_bert())
    assert "\n" not in str(caught.value)


def test_other_frozen_layers_than_before_are_named(tmp_path):
    run(tmp_path, ema_decay=DECAY, **STEPS)
    model = tiny_bert()
    model.bert.embeddings.requires_grad_(False)
    average = WeightAverage(DECAY)
    with pytest.raises(UserError, match=r"bert\.embeddings\.\S+ is not trained here but averaged in ema"):
        average.load(tmp_path / "checkpoint-6", model)
    with pytest.raises(UserError, match=r"bert\.\S+ is \[.*\] in ema.safetensors and \[.*\] in the model"):
        average.load(tmp_path / "checkpoint-6", tiny_bert(intermediate_size=8))


def test_frozen_weights_are_left_out_and_buffers_stay_as_they_are(tmp_path):
    model = tiny_bert()
    model.bert.requires_grad_(False)
    model.classifier = nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 3))
    before = {name: tensor.clone() for name, tensor in model.bert.state_dict().items()}
    trainer = run(tmp_path, model=model, ema_decay=DECAY)
    assert {name.split(".")[0] for name in trainer.ema.average.averages} == {"classifier"}
    assert_equal(model.bert.state_dict(), before)
    assert model.classifier[0].num_batches_tracked == 6
    assert model.classifier[0].running_mean.abs().max() > 0
    assert not any("running" in name for name in trainer.ema.average.averages)


def test_tied_weights_are_averaged_once_and_stay_tied():
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForMaskedLM(BertConfig(**sizes, intermediate_size=16))
    average = WeightAverage(DECAY)
    average.start(model)
    assert sum("word_embeddings" in name or "decoder.weight" in name for name in average.averages) == 1
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1.0)
    average.update(model, 1)
    average.copy_into(model)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_weights_in_bfloat16_are_averaged_in_float32_and_come_back_bitwise():
    model = nn.Linear(3, 2).bfloat16()
    average = WeightAverage(0.999)
    average.start(model)
    first = model.weight.detach().float().clone()
    with torch.no_grad():
        model.weight.add_(1.0)
    own = model.weight.detach().clone()
    average.update(model, 5000)
    kept = 5001 / 5010
    torch.testing.assert_close(average.averages["weight"], kept * first + (1 - kept) * own.float())
    assert average.averages["weight"].dtype == torch.float32
    with average.applied(model):
        assert torch.equal(model.weight, average.averages["weight"].bfloat16())
    assert torch.equal(model.weight, own)


def test_of_a_lora_model_the_adapter_is_averaged_and_resumed(tmp_path):
    from peft import LoraConfig, get_peft_model

    def build():
        lora = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
        model = tiny_bert()
        torch.manual_seed(7)
        return get_peft_model(model, lora)

    settings = {"ema_decay": DECAY, **STEPS}
    record = RecordWeights()
    whole = run(tmp_path / "whole", model=build(), callbacks=[record], **settings)
    names = set(whole.ema.average.averages)
    assert names == {name for name, p in build().named_parameters() if p.requires_grad}
    assert_near(whole.ema.average.averages, {n: w for n, w in average_by_hand(record.weights).items() if n in names})
    checkpoint = str(tmp_path / "whole" / "checkpoint-3")
    resumed = run(tmp_path / "cut", model=build(), resume=checkpoint, **settings)
    assert_equal(copy_of(resumed.model), copy_of(whole.model))


def test_sharded_weights_and_optimizers_that_average_are_refused(tmp_path, monkeypatch):
    common = {"output_dir": str(tmp_path), "use_cpu": True, "ema_decay": DECAY}
    with pytest.raises(ValueError, match="--optim schedule_free_adamw averages the weights itself"):
        ExtTrainingArguments(**common, optim="schedule_free_adamw")
    with pytest.raises(ValueError, match="--save_only_model writes no average"):
        ExtTrainingArguments(**common, save_only_model=True, **BEST)
    sharded = property(lambda self: True)
    monkeypatch.setattr(BertForSequenceClassification, "is_distributed_loading_by_transformers", sharded)
    with pytest.raises(ValueError, match="--ema_decay needs the whole weights in each process"):
        ExtTrainer(tiny_bert(), ExtTrainingArguments(**common, save_strategy="no"))


def test_plain_arguments_average_nothing(tmp_path):
    trainer = ExtTrainer(tiny_bert(), TrainingArguments(output_dir=str(tmp_path), use_cpu=True))
    assert trainer.ema is None
    assert trainer.averaging is None


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("averages")
    succeed_in_two_processes(cases.main, folder)
    return folder


@pytest.mark.slow
def test_two_processes_end_with_the_same_average(two_processes):
    ours, theirs = (load_file(two_processes / f"ema-{rank}.safetensors") for rank in (0, 1))
    assert_equal(ours, theirs)
    assert_near(ours, load_file(two_processes / "expected-0.safetensors"))


@pytest.mark.slow
def test_two_processes_average_the_checkpoints_that_are_left(two_processes):
    ours, theirs = (load_file(two_processes / f"last-{rank}.safetensors") for rank in (0, 1))
    assert_equal(ours, theirs)
    left = [load_file(two_processes / "last" / f"checkpoint-{step}" / "model.safetensors") for step in (4, 6)]
    for name in ours:
        expected = np.mean([weights[name].double().numpy() for weights in left], axis=0).astype(np.float32)
        assert np.array_equal(ours[name].numpy(), expected)
    assert not (two_processes / "last" / "checkpoint-2").exists()
