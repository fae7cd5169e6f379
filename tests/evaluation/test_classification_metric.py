"""Batches, processes and all rows at once give the same figures; what is kept is what the figures need."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from classification_reference import REFERENCES
from transformers import EvalPrediction

from hf_ext.evaluation.classification_metric import ClassificationMetric, NamedMetric
from hf_ext.models.schema import MULTI_LABEL, PROBLEM_TYPES, REGRESSION, SINGLE_LABEL

KINDS = [(SINGLE_LABEL, 2), (SINGLE_LABEL, 7), (MULTI_LABEL, 4), (REGRESSION, 1)]


def make_rows(problem_type, width, count, *, seed=0):
    """Draw logits float32 and labels of which some are missing."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, width)).astype(np.float32)
    missing = np.arange(count) % 11 == 5
    if problem_type == SINGLE_LABEL:
        better = (logits + rng.normal(size=logits.shape)).argmax(1)
        return logits, np.where(missing, -100, better)
    if problem_type == MULTI_LABEL:
        labels = (logits + rng.normal(size=logits.shape) > 0.3).astype(np.float32)
        return logits, np.where(missing[:, None], -100.0, labels).astype(np.float32)
    targets = 3 * logits[:, 0] + rng.normal(size=count) + 40
    return logits, np.where(missing, np.nan, targets).astype(np.float32)


def batches(logits, labels, size, make=torch.tensor):
    for i in range(0, len(logits), size):
        yield EvalPrediction(make(logits[i : i + size]), make(labels[i : i + size]))


def stream(metric, logits, labels, size=8, make=torch.tensor):
    """Call the metric as Trainer does, batch by batch; the last one is short."""
    given = list(batches(logits, labels, size, make))
    for prediction in given[:-1]:
        assert metric(prediction, compute_result=False) == {}
    return metric(given[-1], compute_result=True)


def assert_same(found, expected, rel=1e-12):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=rel, abs=1e-12), name


@pytest.mark.parametrize(("problem_type", "width"), KINDS)
@pytest.mark.parametrize("make", [torch.tensor, np.asarray], ids=["tensors", "arrays"])
def test_batches_give_the_figures_of_scikit_learn(problem_type, width, make):
    logits, labels = make_rows(problem_type, width, 203)
    metric = ClassificationMetric(problem_type)
    expected = REFERENCES[problem_type](logits, labels)
    assert_same(stream(metric, logits, labels, make=make), expected)
    assert_same(stream(metric, logits, labels, size=50, make=make), expected)  # it began anew
    assert_same(metric(EvalPrediction(logits, labels)), expected)  # without batch_eval_metrics
    assert_same(metric(EvalPrediction((logits, np.zeros(3)), labels)), expected)


def test_half_precision_is_scored_as_float32():
    logits, labels = make_rows(SINGLE_LABEL, 3, 60)
    half = torch.tensor(logits).bfloat16()
    found = ClassificationMetric(SINGLE_LABEL)(EvalPrediction(half, torch.tensor(labels)))
    assert_same(found, REFERENCES[SINGLE_LABEL](half.float().numpy(), labels))


def test_batches_without_a_label_count_nothing():
    logits, labels = make_rows(SINGLE_LABEL, 3, 24)
    labels[8:16] = -100
    assert_same(stream(ClassificationMetric(SINGLE_LABEL), logits, labels), REFERENCES[SINGLE_LABEL](logits, labels))
    assert stream(ClassificationMetric(SINGLE_LABEL), logits, np.full(24, -100)) == {}


def on_processes(problem_type, parts, *, ranking=True):
    """Call a metric on each part of the rows in a thread of its own, joined as by ``ExtTrainer``; give all results."""
    barrier, slots, results = threading.Barrier(len(parts)), [None] * len(parts), [None] * len(parts)
    sizes = []

    def run(rank, logits, labels):
        def join(values):
            slots[rank] = values
            barrier.wait(30)
            joined = np.concatenate(slots)
            barrier.wait(30)
            sizes.append(values.nbytes)
            return joined

        metric = ClassificationMetric(problem_type, ranking=ranking)
        metric.join_processes = join
        results[rank] = metric(EvalPrediction(logits, labels))

    threads = [threading.Thread(target=run, args=(rank, *part)) for rank, part in enumerate(parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, sum(sizes) // len(parts)


@pytest.mark.parametrize(("problem_type", "width"), KINDS)
@pytest.mark.parametrize("cuts", [(100,), (3, 4, 90), (0,)], ids=["two", "four", "one has no row"])
def test_processes_with_their_own_rows_give_the_figures_of_all(problem_type, width, cuts):
    logits, labels = make_rows(problem_type, width, 150)
    parts = list(zip(np.split(logits, cuts), np.split(labels, cuts), strict=True))
    results, _ = on_processes(problem_type, parts)
    for found in results:
        assert_same(found, REFERENCES[problem_type](logits, labels))


@pytest.mark.parametrize(("problem_type", "width"), KINDS)
def test_processes_tell_one_another_a_few_numbers_unless_the_order_of_the_rows_counts(problem_type, width):
    def told(count, ranking):
        logits, labels = make_rows(problem_type, width, 2 * count)
        parts = [(logits[:count], labels[:count]), (logits[count:], labels[count:])]
        return on_processes(problem_type, parts, ranking=ranking)[1]

    assert told(50, ranking=False) == told(500, ranking=False) <= 8 * (3 * width + 12)
    assert told(500, ranking=True) > told(50, ranking=True)


@pytest.mark.parametrize(("problem_type", "width"), KINDS)
def test_what_is_kept_grows_only_with_what_is_asked_for(problem_type, width):
    def kept(count, ranking):
        logits, labels = make_rows(problem_type, width, count)
        metric = ClassificationMetric(problem_type, ranking=ranking)
        for prediction in batches(logits, labels, 8):
            metric(prediction, compute_result=False)
        return metric.nbytes

    labelled = sum(i % 11 != 5 for i in range(880))
    a_row = {SINGLE_LABEL: 4 * width + 4, MULTI_LABEL: 5 * width, REGRESSION: 12}[problem_type]
    state = kept(88, ranking=False)
    assert state == kept(880, ranking=False) <= 8 * (3 * width + 12)
    assert kept(880, ranking=True) == state + labelled * a_row


@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_without_ranking_only_its_figures_are_missing(problem_type):
    logits, labels = make_rows(problem_type, 1 if problem_type == REGRESSION else 3, 80)
    whole = REFERENCES[problem_type](logits, labels)
    found = ClassificationMetric(problem_type, ranking=False)(EvalPrediction(logits, labels))
    missing = {SINGLE_LABEL: {"roc_auc"}, MULTI_LABEL: {"map_macro", "roc_auc_macro"}, REGRESSION: {"spearman"}}
    assert whole.keys() - found.keys() == missing[problem_type]
    assert_same(found, {name: whole[name] for name in found})


def test_a_label_that_the_model_lacks_is_named():
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 2, got 1 \.\. 3"):
        ClassificationMetric(SINGLE_LABEL)(EvalPrediction(np.zeros((2, 3)), np.array([1, 3])))


class Echo:
    """Stands for a metric of the evaluate library."""

    def compute(self, predictions, references):
        return {"predictions": predictions.tolist(), "references": references.tolist()}


@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
@pytest.mark.parametrize("shrunk", [True, False])
def test_a_named_metric_gets_the_answers_of_all_batches_in_the_order_of_the_rows(problem_type, shrunk):
    logits, _ = make_rows(problem_type, 1 if problem_type == REGRESSION else 3, 20)
    labels, order = np.arange(20), np.random.default_rng(1).permutation(20)
    metric = NamedMetric(Echo(), problem_type)
    expected = metric(EvalPrediction(logits, labels))
    metric.row_order = order
    given = list(batches(logits[order], labels[order], 8))
    if shrunk:
        given = [EvalPrediction(metric.shrink(batch.predictions), batch.label_ids) for batch in given]
    for batch in given[:-1]:
        metric(batch, compute_result=False)
    assert metric(given[-1], compute_result=True) == expected
    assert expected["references"] == list(range(20))
