"""The gradient is the true one however the batch is cut up: accumulation, processes, kind of head."""

from __future__ import annotations

import random

import loss_scale_cases as cases
import numpy as np
import pytest
import torch
from forked_runs import succeed_in_two_processes
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import IterableDataset
from training_models import tiny_bert
from transformers import Trainer

from hf_ext.training import ExtTrainer
from hf_ext.training.losses.scale import keeps_loss_promise

TOLERANCE = 1e-6


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("head", ["stock", "frozen", "lora", "ext"])
def test_gradient_is_the_true_one_whatever_the_accumulation(head, steps):
    _, error = cases.ratio_and_error(cases.step_gradient(head, "ours", steps), cases.true_gradient(head))
    assert error <= TOLERANCE


@pytest.mark.parametrize("steps", [2, 4])
def test_plain_trainer_multiplies_the_gradient_of_a_stock_head_by_the_accumulation(steps):
    ratio, _ = cases.ratio_and_error(cases.step_gradient("stock", "plain", steps), cases.true_gradient("stock"))
    assert ratio == pytest.approx(steps, rel=1e-6)


@pytest.fixture(scope="module")
def two_process_gradients(tmp_path_factory):
    path = tmp_path_factory.mktemp("gradients") / "found.safetensors"
    succeed_in_two_processes(cases.main, path)
    return load_file(path)


def select(gradients, *key):
    prefix = "/".join(map(str, key)) + "/"
    return {name.removeprefix(prefix): g for name, g in gradients.items() if name.startswith(prefix)}


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("head", ["stock", "ext"])
def test_gradient_is_the_true_one_on_two_processes(two_process_gradients, head, steps):
    found = select(two_process_gradients, head, "ours", steps)
    _, error = cases.ratio_and_error(found, cases.true_gradient(head))
    assert error <= TOLERANCE


@pytest.mark.slow
def test_plain_trainer_multiplies_by_accumulation_and_processes(two_process_gradients):
    ratio, _ = cases.ratio_and_error(select(two_process_gradients, "stock", "plain", 2), cases.true_gradient("stock"))
    assert ratio == pytest.approx(2 * 2, rel=1e-6)


@pytest.mark.slow
def test_evaluation_loss_of_a_stock_head_is_the_mean_on_two_processes_where_trainer_doubles_it(two_process_gradients):
    expected = cases.build_model("stock")(**cases.collate(cases.build_rows("stock"))).loss.item()
    assert two_process_gradients["evaluation_loss/ours"].item() == pytest.approx(expected, rel=1e-6)
    assert two_process_gradients["evaluation_loss/plain"].item() == pytest.approx(2 * expected, rel=1e-6)


def mean_loss(outputs, labels, num_items_in_batch=None):
    return nn.functional.cross_entropy(outputs.logits, labels)


def promised_loss(outputs, labels, num_items_in_batch=None):
    total = nn.functional.cross_entropy(outputs.logits, labels, reduction="sum")
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)


@pytest.mark.parametrize("loss", [mean_loss, promised_loss])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_loss_function_gives_the_true_gradient_whether_or_not_it_uses_the_count(loss, steps):
    found = cases.step_gradient("stock", "ours", steps, compute_loss_func=loss)
    _, error = cases.ratio_and_error(found, cases.true_gradient("stock"))
    assert error <= TOLERANCE


class Streamed(IterableDataset):
    """Rows that can be read only once."""

    def __init__(self, rows):
        self.rows = iter(rows)

    def __iter__(self):
        return self.rows


def test_a_stream_loses_no_row_to_the_probe():
    found = cases.step_gradient("stock", "ours", 4, train_dataset=Streamed(cases.build_rows("stock")))
    _, error = cases.ratio_and_error(found, cases.true_gradient("stock"))
    assert error <= TOLERANCE


def test_a_stock_head_is_told_the_truth_once(arguments, rows, bert):
    trainer = ExtTrainer(bert, arguments(), train_dataset=rows)
    assert trainer.model_accepts_loss_kwargs  # what Trainer believes of a bare **kwargs
    trainer.train()
    assert trainer.model_accepts_loss_kwargs is False
    assert bert.accepts_loss_kwargs is False


class Promising(nn.Module):
    """A model that takes the count; ``calls`` says how often it was asked."""

    def __init__(self, divides=True):
        super().__init__()
        self.linear, self.divides, self.calls = nn.Linear(2, 3), divides, 0

    def forward(self, features, labels=None, **kwargs):
        self.calls += 1
        count = kwargs.get("num_items_in_batch") if self.divides else None
        total = nn.functional.cross_entropy(self.linear(features), labels, reduction="sum")
        return {"loss": total / (len(labels) if count is None else count)}


class Naming(Promising):
    accepts_loss_kwargs = True

    def forward(self, features, labels=None, num_items_in_batch=None):
        return super().forward(features, labels, num_items_in_batch=num_items_in_batch)


FEATURES = [{"features": [float(i), 1.0], "labels": i % 3} for i in range(8)]


@pytest.mark.parametrize("divides", [True, False])
def test_a_bare_kwargs_head_is_believed_only_if_its_loss_changes(arguments, divides):
    trainer = ExtTrainer(Promising(divides), arguments(remove_unused_columns=False), train_dataset=FEATURES)
    trainer.train()
    assert trainer.model_accepts_loss_kwargs is divides


def test_a_class_that_names_the_count_and_promises_is_trusted_without_a_probe(arguments):
    model = Naming()
    trainer = ExtTrainer(model, arguments(max_steps=1), train_dataset=FEATURES)
    trainer.train()
    assert keeps_loss_promise(model)
    assert model.calls == 1
    assert trainer.model_accepts_loss_kwargs


def test_naming_without_promising_is_not_trusted():
    class Undeclared(Naming):
        accepts_loss_kwargs = None

    assert not keeps_loss_promise(Undeclared())


def test_a_loss_that_gives_no_answer_counts_as_a_mean(arguments):
    class Zero(Promising):
        def forward(self, features, labels=None, **kwargs):
            return {"loss": 0.0 * self.linear(features).sum()}

    trainer = ExtTrainer(Zero(), arguments(remove_unused_columns=False), train_dataset=FEATURES)
    trainer.train()
    assert trainer.model_accepts_loss_kwargs is False


def test_label_smoothing_keeps_the_scale(arguments, rows):
    losses = []
    for steps in (1, 4):
        model = tiny_bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        args = arguments(
            label_smoothing_factor=0.1,
            max_steps=1,
            per_device_train_batch_size=12 // steps,
            gradient_accumulation_steps=steps,
        )
        losses.append(ExtTrainer(model, args, train_dataset=rows).train().training_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_probe_leaves_random_states_and_module_modes_alone(arguments, rows):
    bert = tiny_bert(hidden_dropout_prob=0.5)
    trainer = ExtTrainer(bert, arguments(), train_dataset=rows)
    bert.train()
    bert.bert.pooler.eval()
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    trainer.loss_scale.settle(trainer.data_collator(rows))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()
    assert bert.training
    assert not bert.bert.pooler.training
    assert all(parameter.grad is None for parameter in bert.parameters())


def test_evaluation_alone_settles_the_scale_and_gives_the_mean_loss(arguments, rows, bert):
    trainer = ExtTrainer(bert, arguments(per_device_eval_batch_size=4), eval_dataset=rows)
    found = trainer.evaluate()["eval_loss"]
    bert.eval()
    with torch.no_grad():
        expected = bert(**trainer.data_collator(rows)).loss.item()
    assert found == pytest.approx(expected, rel=1e-5)
    assert trainer.model_accepts_loss_kwargs is False


def test_rows_without_labels_leave_the_question_open(arguments, rows, bert):
    trainer = ExtTrainer(bert, arguments())
    trainer.predict([{"input_ids": row["input_ids"]} for row in rows])
    assert trainer.model_accepts_loss_kwargs
    trainer.train_dataset = rows
    trainer.train()
    assert trainer.model_accepts_loss_kwargs is False


@pytest.mark.parametrize("problem_type", ["regression", "multi_label_classification"])
def test_label_smoothing_is_refused_where_a_row_has_not_one_label(arguments, problem_type):
    model = tiny_bert(num_labels=1, problem_type=problem_type)
    with pytest.raises(ValueError, match="label_smoothing_factor needs one label a row"):
        ExtTrainer(model, arguments(label_smoothing_factor=0.1))


def test_same_weights_as_trainer_where_trainer_is_right(arguments, rows):
    weights = []
    for trainer_class in (Trainer, ExtTrainer):
        model = tiny_bert()  # with dropout: an extra random number would show
        trainer_class(model, arguments(max_steps=3, learning_rate=1e-2), train_dataset=rows).train()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)
