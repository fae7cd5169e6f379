"""The evaluation loss is the mean over all items, whatever the batch size and the number of processes."""

from __future__ import annotations

import json
import math

import eval_loss_cases as cases
import numpy as np
import pytest
import torch
from forked_runs import succeed_in_two_processes
from torch import nn
from training_models import tiny_bert
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from hf_ext.training import ExtTrainer

CASES = [(task, count) for task in cases.TASKS for count in cases.COUNTS]


def expect(found, task, count):
    expected = cases.true_loss(task, count)
    if expected is None:
        assert found is None or math.isnan(found)  # there is nothing that a mean could be over
    else:
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("task", "count"), CASES)
def test_the_loss_is_the_mean_over_all_items_for_every_batch_size(task, count):
    for batch_size in cases.BATCH_SIZES:
        expect(cases.evaluate(task, count, batch_size)["eval_loss"], task, count)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    path = tmp_path_factory.mktemp("losses") / "found.json"
    succeed_in_two_processes(cases.main, path)
    return json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("task", "count"), CASES)
def test_two_processes_give_the_same_loss(two_processes, task, count):
    for batch_size in cases.BATCH_SIZES:
        expect(two_processes[f"{task}/{count}/{batch_size}"], task, count)


@pytest.mark.slow
def test_trainers_own_loss_depends_on_processes_and_its_predictions_stay(two_processes):
    expected = cases.true_loss("tokens", 5)
    assert abs(two_processes["plain/5/4"] - expected) > 1e-2
    assert two_processes["same predictions"]
    assert two_processes["test_loss"] == pytest.approx(cases.true_loss("tokens", 11), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ext", "tokens"])
def test_two_processes_give_it_while_they_train(two_processes, task):
    expect(two_processes[f"while training/{task}"], task, 11)


@pytest.mark.parametrize("task", ["ext", "tokens"])
def test_evaluations_while_training_are_exact(task):
    expect(cases.evaluate_while_training(task, 11), task, 11)


class Answers(nn.Module):
    """A model with two labels a row, as for spans in a text."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 4)

    def forward(self, features, start_positions=None, end_positions=None):
        logits = self.linear(features)
        losses = [nn.functional.cross_entropy(logits, labels) for labels in (start_positions, end_positions)]
        return {"loss": sum(losses) / 2, "logits": logits}


def test_with_several_label_names_rows_are_counted_by_the_first(arguments):
    rows = [{"features": [float(i), 1.0], "start_positions": i % 4, "end_positions": (i + 1) % 4} for i in range(5)]
    torch.manual_seed(0)
    model, found = Answers(), set()
    for batch_size in (1, 2, 3, 5):
        args = arguments(per_device_eval_batch_size=batch_size, label_names=["start_positions", "end_positions"])
        found.add(ExtTrainer(model, args, eval_dataset=rows).evaluate()["eval_loss"])
    assert max(found) == pytest.approx(min(found), rel=1e-6)


def test_a_language_model_counts_the_next_tokens(arguments):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**cases.loss_scale_cases.SIZES)).eval()
    rows = [{"input_ids": list(range(1, 5 + i % 3))} for i in range(5)]
    total = items = 0
    for row in rows:
        row["labels"] = list(row["input_ids"])
        tokens = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            logits = model(input_ids=tokens).logits[0, :-1].double()
        total += float(nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="sum"))
        items += logits.shape[0]

    def collate(batch):
        longest = max(len(row["labels"]) for row in batch)
        pad = {"input_ids": 0, "labels": -100}
        made = {n: torch.tensor([r[n] + [p] * (longest - len(r[n])) for r in batch]) for n, p in pad.items()}
        return {**made, "attention_mask": (made["labels"] != -100).long()}

    for batch_size in (1, 2, 5):
        args = arguments(per_device_eval_batch_size=batch_size)
        found = ExtTrainer(model, args, eval_dataset=rows, data_collator=collate).evaluate()["eval_loss"]
        assert found == pytest.approx(total / items, rel=1e-6)


def test_trainers_own_loss_depends_on_the_batch_size():
    found = cases.evaluate("tokens", 5, 4, trainer=Trainer)["eval_loss"]
    assert abs(found - cases.true_loss("tokens", 5)) > 1e-3


@pytest.mark.parametrize("task", ["ext", "tokens"])
def test_predictions_and_labels_are_bitwise_trainers(task):
    ours, theirs = (cases.evaluate(task, 11, 4, trainer=one, predict=True) for one in (ExtTrainer, Trainer))
    assert np.array_equal(ours.predictions, theirs.predictions)
    assert np.array_equal(ours.label_ids, theirs.label_ids)
    assert ours.metrics["test_loss"] == pytest.approx(cases.true_loss(task, 11), rel=1e-6)


def test_plain_arguments_get_the_exact_loss_too(tmp_path):
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, per_device_eval_batch_size=4)
    trainer = ExtTrainer(cases.build_model("tokens"), args, data_collator=cases.loss_scale_cases.collate)
    expect(trainer.evaluate(cases.build_rows("tokens", 11))["eval_loss"], "tokens", 11)


def test_rows_without_labels_have_no_loss(arguments, rows, bert):
    output = ExtTrainer(bert, arguments()).predict([{"input_ids": row["input_ids"]} for row in rows])
    assert "test_loss" not in output.metrics


def test_label_smoothing_is_averaged_over_items_as_well():
    losses = {cases.evaluate("stock", 5, size, label_smoothing_factor=0.2)["eval_loss"] for size in (1, 2, 4, 8)}
    assert max(losses) == pytest.approx(min(losses), rel=1e-9)


def test_a_nonfinite_row_shows_in_the_loss_unless_the_filter_is_on(arguments, rows):
    model = tiny_bert()
    model.bert.embeddings.word_embeddings.weight.data[39] = math.nan
    rows[5] = {"input_ids": [39] * 6, "labels": 0}
    found = {}
    for hide in (False, True):
        args = arguments(logging_nan_inf_filter=hide, per_device_eval_batch_size=1)
        found[hide] = ExtTrainer(model, args, eval_dataset=rows).evaluate()["eval_loss"]
    assert math.isnan(found[False])
    assert math.isfinite(found[True])


def test_the_arguments_are_as_before_after_an_evaluation_that_fails(arguments, rows, bert):
    def fail(prediction):
        raise RuntimeError("no metric")

    trainer = ExtTrainer(bert, arguments(), eval_dataset=rows, compute_metrics=fail)
    with pytest.raises(RuntimeError, match="no metric"):
        trainer.evaluate()
    assert trainer.args.average_tokens_across_devices
    assert not trainer.exact_loss.is_measuring
