"""Metrics are counted where the rows are, on one process and on two, and equal those of scikit-learn on all rows."""

from __future__ import annotations

import json

import metric_cases as cases
import numpy as np
import pytest
import torch
from forked_runs import succeed_in_two_processes
from transformers import EvalPrediction, Trainer
from transformers.trainer_pt_utils import EvalLoopContainer

from hf_ext.evaluation.classification_metric import ClassificationMetric
from hf_ext.models.schema import SINGLE_LABEL
from hf_ext.training import ExtTrainer

LENGTHS = [len(row["input_ids"]) for row in cases.build_rows("regression", 27)]


def expect(found, task, count):
    expected = cases.true_figures(task, count)
    assert found.keys() - {"loss"} == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize(("task", "count"), cases.CASES)
def test_one_process_gives_the_figures_of_scikit_learn(task, count):
    expect(cases.figures_of(task, count), task, count)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    path = tmp_path_factory.mktemp("metrics") / "found.json"
    succeed_in_two_processes(cases.main, path)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(("task", "count"), cases.CASES)
def test_two_processes_give_the_same_figures_and_count_no_row_twice(two_processes, task, count):
    expect(two_processes[f"{task}/{count}"], task, count)


@pytest.mark.slow
def test_processes_gather_no_logits_but_a_few_numbers_at_the_end(two_processes):
    few, many = two_processes["gathered"]["24"], two_processes["gathered"]["240"]
    assert few["batch"] == many["batch"] == []
    assert few["end"] == many["end"]  # lengths and counts, however many rows
    assert sum(many["end"]) < 100


@pytest.mark.slow
def test_a_metric_of_the_users_own_still_gets_all_logits_of_two_processes(two_processes):
    assert 4 * 5 in two_processes["user"]["batch"]  # B x L


@pytest.mark.slow
def test_grouped_training_leaks_into_no_order_on_two_processes(two_processes):
    ours, stock = two_processes["order"]["ours"], two_processes["order"]["stock"]
    assert ours["evaluate"] == LENGTHS
    assert stock["evaluate"] != LENGTHS
    expect_predictions(ours["predict"])
    assert not np.allclose(stock["predict"], row_by_row(), atol=1e-6)


def row_by_row():
    model = cases.build_model("regression").eval()
    with torch.no_grad():
        each = [model(torch.tensor([row["input_ids"]])).logits for row in cases.build_rows("regression", 27)]
    return torch.cat(each).reshape(-1).numpy()


def expect_predictions(found):
    np.testing.assert_allclose(found, row_by_row(), atol=1e-9)


def test_grouped_training_leaks_into_no_order():
    grouped = {"train_sampling_strategy": "group_by_length"}
    ours, stock = (cases.order_of(trainer, **grouped) for trainer in (ExtTrainer, Trainer))
    assert ours["evaluate"] == LENGTHS
    assert stock["evaluate"] != LENGTHS  # transformers 5.23 reads them grouped, and does not say in which order
    expect_predictions(ours["predict"])
    assert not np.allclose(stock["predict"], row_by_row(), atol=1e-6)


def test_an_evaluation_keeps_losses_alone_and_joins_no_batch_to_another(monkeypatch):
    added = []
    monkeypatch.setattr(EvalLoopContainer, "add", record_into(added, EvalLoopContainer.add))
    cases.figures_of("many labels", 27)
    assert [len(shape) for shape, _ in added] == [1] * 7  # one loss a row
    assert not any(joined for _, joined in added)


def record_into(added, add):
    def watch(container, values):
        added.append((values.shape, container.do_nested_concat))
        add(container, values)

    return watch


def test_a_metric_of_the_users_own_is_called_as_by_trainer():
    given = []

    def metric(prediction):
        given.append(prediction)
        return {"rows": len(prediction.label_ids)}

    found = cases.build_trainer("many labels", 27, compute_metrics=metric).evaluate()
    assert found["eval_rows"] == 27
    assert given[0].predictions.shape == (27, 5)


def test_an_evaluation_that_was_broken_off_leaves_nothing_to_the_next():
    metric = ClassificationMetric(SINGLE_LABEL)
    trainer = cases.build_trainer("many labels", 27, compute_metrics=metric)
    expected = trainer.evaluate()["eval_accuracy"]
    metric(EvalPrediction(np.eye(5), np.arange(5)), compute_result=False)
    assert trainer.evaluate()["eval_accuracy"] == expected
    assert trainer.args.batch_eval_metrics is False  # as it was given
    assert trainer.args.eval_do_concat_batches is True


def test_a_prediction_with_labels_gives_figures_and_logits():
    metric = ClassificationMetric(SINGLE_LABEL)
    trainer = cases.build_trainer("many labels", 27, compute_metrics=metric)
    found = trainer.predict(cases.build_rows("many labels", 27))
    assert found.predictions.shape == (27, 5)
    assert found.metrics["test_mcc"] == pytest.approx(cases.true_figures("many labels", 27)["mcc"])
