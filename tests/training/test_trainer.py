"""ExtTrainer: what it saves, when it stops, and what of Trainer it relies on."""

from __future__ import annotations

import json
import math

import datasets
import numpy as np
import pytest
import torch
from training_models import tiny_bert
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hf_ext.tokenization import build_tokenizer
from hf_ext.training import ExtTrainer, compat
from hf_ext.training.callbacks import callbacks_from
from hf_ext.training.watch.loss_watch import LossWatch


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_saved_folder_holds_arguments_as_json_without_token_and_no_pickle(arguments, rows, bert, tmp_path):
    trainer = ExtTrainer(bert, arguments(hub_token="hf_secret"), train_dataset=rows)
    trainer.train()
    trainer.save_model()
    files = files_of(tmp_path / "out")
    assert files == {"config.json", "model.safetensors", "train_log.jsonl", "training_args.json"}
    saved = json.loads((tmp_path / "out" / "training_args.json").read_text(encoding="utf-8"))
    assert saved["max_steps"] == 2
    assert not any(b"hf_secret" in (tmp_path / "out" / name).read_bytes() for name in files)


def test_checkpoints_hold_no_arguments_pickle_either_and_resume(arguments, rows, tmp_path):
    whole = tiny_bert()
    ExtTrainer(whole, arguments(max_steps=4, save_strategy="steps", save_steps=2), train_dataset=rows).train()
    names = files_of(tmp_path / "out")
    assert not any(name.endswith("training_args.bin") for name in names)
    assert "checkpoint-2/training_args.json" in names
    resumed = tiny_bert()
    trainer = ExtTrainer(resumed, arguments(max_steps=4), train_dataset=rows)
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_saved_model_loads_again_with_equal_weights(arguments, rows, bert, tmp_path):
    trainer = ExtTrainer(bert, arguments(), train_dataset=rows)
    trainer.train()
    trainer.save_model(str(tmp_path / "model"))
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in bert.state_dict().items())


class FailAt(TrainerCallback):
    """Poison the weights before a step."""

    def __init__(self, step, value):
        self.step, self.value = step, value

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == self.step:
            model.classifier.weight.data.fill_(self.value)


def test_without_the_stop_the_nan_is_at_least_shown(arguments, rows, bert):
    args = arguments(logging_steps=1, stop_on_nonfinite_loss=False)
    output = ExtTrainer(bert, args, train_dataset=rows, callbacks=[FailAt(0, math.nan)]).train()
    assert math.isnan(output.training_loss)


def test_plain_arguments_ask_for_no_callback(tmp_path):
    assert callbacks_from(TrainingArguments(output_dir=str(tmp_path), use_cpu=True)) == []


def test_early_stopping_ends_after_patience_evaluations_without_gain(arguments, rows, bert):
    args = arguments(
        max_steps=20,
        learning_rate=0.0,
        eval_strategy="steps",
        eval_steps=1,
        early_stopping_patience=3,
        metric_for_best_model="f1",
    )
    trainer = ExtTrainer(
        bert, args, train_dataset=rows, eval_dataset=rows, compute_metrics=lambda prediction: {"f1": 0.5}
    )
    trainer.train()
    assert trainer.state.global_step == 1 + 3  # the first evaluation sets the best, three do not better it


def test_early_stopping_patience_survives_a_resume(arguments, rows, tmp_path):
    def build(steps):
        args = arguments(
            max_steps=steps,
            learning_rate=0.0,
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="steps",
            save_steps=1,
            early_stopping_patience=3,
            metric_for_best_model="f1",
        )
        return ExtTrainer(
            tiny_bert(), args, train_dataset=rows, eval_dataset=rows, compute_metrics=lambda prediction: {"f1": 0.5}
        )

    build(3).train()
    second = build(20)
    second.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    assert second.state.global_step == 1 + 3


def test_best_model_is_loaded_by_a_metric_named_without_prefix(arguments, rows, bert):
    scores = iter([0.2, 0.9, 0.1])
    args = arguments(
        max_steps=3,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
        metric_for_best_model="f1_weighted",
    )
    metric = {"compute_metrics": lambda prediction: {"f1_weighted": next(scores)}}
    trainer = ExtTrainer(bert, args, train_dataset=rows, eval_dataset=rows, **metric)
    trainer.train()
    assert trainer.state.best_metric == 0.9
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-2")


def test_the_users_callbacks_come_beside_ours(arguments, bert):
    mine = FailAt(99, 0.0)
    args = arguments(early_stopping_patience=1, eval_strategy="epoch")
    found = ExtTrainer(bert, args, callbacks=[mine], eval_dataset=[]).callback_handler.callbacks
    assert mine in found
    assert any(isinstance(callback, EarlyStoppingCallback) for callback in found)
    assert any(isinstance(callback, LossWatch) for callback in found)


def test_trainers_positional_arguments_keep_their_order(arguments, rows, bert):
    collator = list
    trainer = ExtTrainer(bert, arguments(), collator, rows)
    assert trainer.data_collator is collator
    assert trainer.train_dataset is rows


def test_bf16_trains_on_the_cpu(arguments, rows, bert):
    args = arguments(bf16=True, use_cpu=torch.accelerator.is_available() is False)
    assert math.isfinite(ExtTrainer(bert, args, train_dataset=rows).train().training_loss)


def test_the_installed_trainer_is_the_one_we_override():
    assert compat.signature_differences() == []


def test_every_override_of_ours_is_guarded():
    overridden = {
        name
        for name, value in vars(ExtTrainer).items()
        if callable(value) and hasattr(Trainer, name) and name != "__init__" and not name.startswith("__")
    }
    whole = {"push_to_hub"}  # ours calls nothing of Trainer's, whose parameters grew in 5.23
    assert overridden - whole <= set(compat.TOUCHED_METHODS)


def test_a_changed_trainer_is_refused_by_name(monkeypatch):
    class Newer:
        def _save(self, folder):
            pass

    differences = compat.signature_differences(Newer)
    assert "_save takes ('self', 'folder'), expected ('self', 'output_dir', 'state_dict')" in differences
    assert len(differences) == len(compat.TOUCHED_METHODS)
    monkeypatch.setattr(compat, "signature_differences", lambda: differences)
    with pytest.raises(RuntimeError, match=r"install the version in constraints\.txt"):
        compat.require_known_trainer()


def test_predictions_keep_the_input_order_when_training_is_grouped_by_length(arguments, bert):
    features = datasets.Dataset.from_list([{"input_ids": [1 + i % 7] * (1 + i * 5 % 11)} for i in range(20)])
    grouped = {"train_sampling_strategy": "group_by_length"}
    collator = DataCollatorWithPadding(build_tokenizer(["a"], min_count=1))
    expected = Trainer(bert, arguments(), data_collator=collator).predict(features).predictions
    ours = ExtTrainer(bert, arguments(**grouped), data_collator=collator).predict(features).predictions
    stock = Trainer(bert, arguments(**grouped), data_collator=collator).predict(features).predictions
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert not np.allclose(stock, expected, atol=1e-6)  # the plain Trainer permutes them
