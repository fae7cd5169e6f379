"""Balanced draws: every label equally often, the same on all processes and after a resume."""

from __future__ import annotations

import json
from collections import Counter

import datasets
import numpy as np
import pytest
import sampling_cases as cases
import torch
from forked_runs import succeed_in_two_processes
from training_models import tiny_bert
from transformers import Trainer, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_ext.training import ExtTrainer
from hf_ext.training.losses.sampling import BalancedSampler, build_balanced_sampler, row_weights


def test_a_row_is_as_likely_as_its_label_is_rare():
    np.testing.assert_allclose(row_weights([0, 0, 0, 2], SINGLE_LABEL), [1 / 3, 1 / 3, 1 / 3, 1])
    np.testing.assert_allclose(row_weights([0, -100, -100, 2], SINGLE_LABEL), [1, 0.5, 0.5, 1])


def test_of_several_labels_the_rarest_counts():
    labels = [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [-100.0, -100.0, -100.0]]
    np.testing.assert_allclose(row_weights(labels, MULTI_LABEL), [1 / 2, 1 / 3, 1, 1 / 2, 1 / 2])


def test_every_label_is_drawn_equally_often():
    sampler = BalancedSampler(row_weights(cases.LABELS, SINGLE_LABEL), seed=1)
    drawn = Counter()
    for epoch in range(2000):
        sampler.set_epoch(epoch)
        drawn.update(cases.LABELS[i] for i in sampler)
    total = sum(drawn.values())
    assert total == 2000 * len(cases.LABELS) == 2000 * len(sampler)
    for label in range(3):  # three standard deviations of a share of 1/3 in 24000 draws
        assert drawn[label] / total == pytest.approx(1 / 3, abs=3 * (2 / 9 / total) ** 0.5)


def test_draws_are_a_function_of_seed_and_epoch():
    def draw(seed, epoch):
        sampler = BalancedSampler(np.ones(50), seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    torch.manual_seed(0)
    first = draw(1, 0)
    torch.manual_seed(1)
    assert draw(1, 0) == first
    assert draw(1, 0) == draw(1, 0)
    assert len({tuple(draw(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def expected_batches(steps, processes, rank):
    """Cut the sampler's own draws into the batches of one process."""
    batches, size = [], 4 // processes
    for epoch in range(steps):
        sampler = BalancedSampler(row_weights(cases.LABELS, SINGLE_LABEL), seed=7)
        sampler.set_epoch(epoch)
        rows = list(sampler)
        cut = [rows[i : i + size] for i in range(0, len(rows), size)]
        batches += cut[rank::processes]
    return batches[:steps]


def test_a_run_draws_anew_each_epoch_and_a_resumed_run_is_bitwise_the_uninterrupted_one(tmp_path):
    seen, weights = cases.train(tmp_path / "run", processes=1)
    assert seen == expected_batches(cases.LAST_STEP, 1, 0)
    for step in cases.SAVED_STEPS:
        resumed, others = cases.train(tmp_path / "run", processes=1, resume_at=step)
        assert resumed == seen[step:]
        assert torch.equal(weights, others)


@pytest.mark.slow
def test_two_processes_share_the_draws_and_resume_bitwise(tmp_path):
    succeed_in_two_processes(cases.main, tmp_path)
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8"))
        assert found["seen"] == expected_batches(cases.LAST_STEP, 2, rank)
        for step in cases.SAVED_STEPS:
            assert found["resumed"][str(step)] == found["seen"][step:]
            assert found["equal"][str(step)]


def test_the_flag_chooses_the_sampler_and_the_data_seed_its_draws(arguments, bert):
    data = datasets.Dataset.from_list(cases.ROWS)
    trainer = ExtTrainer(bert, arguments(weighted_sampling=True, seed=1, data_seed=5), train_dataset=data)
    sampler = trainer._get_train_sampler()
    assert type(sampler) is BalancedSampler
    assert sampler.seed == 5
    assert (
        ExtTrainer(bert, arguments(weighted_sampling=True, seed=1), train_dataset=data)._get_train_sampler().seed == 1
    )


def test_without_the_flag_the_sampler_is_trainers(arguments, bert, tmp_path):
    plain = Trainer(bert, TrainingArguments(str(tmp_path), use_cpu=True), train_dataset=cases.ROWS)
    ours = ExtTrainer(bert, arguments(), train_dataset=cases.ROWS)
    assert type(ours._get_train_sampler()) is type(plain._get_train_sampler())


def test_streams_tokens_numbers_and_other_strategies_are_refused(arguments, bert):
    with pytest.raises(UserError, match="a stream does not allow"):
        build_balanced_sampler(arguments(weighted_sampling=True), bert, iter(cases.ROWS))
    with pytest.raises(UserError, match="every token has a label – use --class_weights instead"):
        row_weights([[0, 1], [1, 1]], SINGLE_LABEL)
    with pytest.raises(UserError, match="needs labels, and this is regression"):
        build_balanced_sampler(arguments(weighted_sampling=True), tiny_bert(num_labels=1), cases.ROWS)
    assert REGRESSION == "regression"
    args = arguments(weighted_sampling=True, train_sampling_strategy="sequential")
    with pytest.raises(UserError, match="exclude one another"):
        build_balanced_sampler(args, bert, cases.ROWS)


def test_a_stream_is_refused_before_the_first_step(arguments, bert):
    stream = datasets.IterableDataset.from_generator(lambda: cases.ROWS)
    with pytest.raises(UserError, match="--weighted_sampling"):
        ExtTrainer(bert, arguments(weighted_sampling=True), train_dataset=stream).train()
