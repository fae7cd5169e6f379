"""``--length_strategy``: what it means beside transformers' own flags, and what training does with it."""

from __future__ import annotations

import json
import logging
from collections import Counter

import batching_cases as cases
import datasets
import pytest
import torch
from forked_runs import succeed_in_two_processes
from loss_scale_cases import ratio_and_error
from safetensors.torch import load_file
from transformers import TrainingArguments

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer
from hf_ext.training.batching.grouping import LengthGroupedRows
from hf_ext.training.batching.token_budget import TokenBudgetBatches

EPOCH = {"max_steps": -1, "num_train_epochs": 1, "save_strategy": "no"}


def test_the_official_flag_means_group_and_nothing_means_dynamic(arguments):
    assert arguments().length_strategy is None
    assert arguments(train_sampling_strategy="group_by_length").length_strategy == "group"
    assert arguments(train_sampling_strategy="sequential").length_strategy is None
    assert arguments(length_strategy="group", train_sampling_strategy="group_by_length").length_strategy == "group"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"length_strategy": "sorted"}, "--length_strategy is one of dynamic, .*, got sorted"),
        ({"length_strategy": "dynamic", "train_sampling_strategy": "group_by_length"}, "leave out one of them"),
        ({"length_strategy": "budget", "train_sampling_strategy": "group_by_length"}, "leave out one of them"),
        ({"length_strategy": "group", "train_sampling_strategy": "sequential"}, "add --length_strategy dynamic"),
        ({"length_strategy": "budget", "train_sampling_strategy": "batch_rebalance"}, "add --length_strategy dynamic"),
        ({"length_strategy": "pack", "train_sampling_strategy": "group_by_length"}, "leave out one of them"),
        ({"length_strategy": "pack", "torch_compile": True}, "leave one of them out"),
        ({"tokens_per_batch": 512}, "add --length_strategy budget"),
        ({"length_strategy": "budget", "tokens_per_batch": 0}, "at least 1, got 0"),
        ({"length_strategy": "budget", "weighted_sampling": True}, "take --length_strategy group"),
        ({"length_strategy": "budget", "auto_find_batch_size": True}, "leave it out"),
    ],
)
def test_contradictions_are_refused(arguments, flags, message):
    with pytest.raises(ValueError, match=message):
        arguments(**flags)


@pytest.mark.parametrize("strategy", ["group", "budget"])
def test_streams_and_rows_without_tokens_are_refused(arguments, bert, strategy):
    stream = datasets.IterableDataset.from_generator(cases.build_rows)
    with pytest.raises(UserError, match=r"they are streamed – take --length_strategy dynamic"):
        ExtTrainer(bert, arguments(length_strategy=strategy), train_dataset=stream)
    trainer = ExtTrainer(bert, arguments(length_strategy=strategy), train_dataset=[{"x": 1}])
    with pytest.raises(UserError, match="needs rows with input_ids"):
        trainer.get_train_dataloader()


def test_the_strategy_chooses_the_sampler(arguments, bert):
    def sampler(**flags):
        return ExtTrainer(bert, arguments(**flags), train_dataset=cases.build_rows())._get_train_sampler()

    assert type(sampler(length_strategy="group")) is LengthGroupedRows
    assert type(sampler(train_sampling_strategy="group_by_length")) is LengthGroupedRows
    assert type(sampler(length_strategy="budget")) is TokenBudgetBatches
    assert type(sampler(length_strategy="group", weighted_sampling=True).rows).__name__ == "BalancedSampler"
    assert not isinstance(sampler(), LengthGroupedRows)
    assert sampler(length_strategy="budget", seed=1, data_seed=5).seed == 5


def test_plain_arguments_change_nothing(bert, tmp_path):
    trainer = ExtTrainer(bert, TrainingArguments(str(tmp_path), use_cpu=True), train_dataset=cases.build_rows())
    assert trainer.length_strategy == "dynamic"


def test_the_budget_keeps_by_default_the_number_of_batches_and_is_said(arguments, bert, caplog):
    args = arguments(length_strategy="budget", per_device_train_batch_size=4)
    with caplog.at_level(logging.INFO):
        sampler = ExtTrainer(bert, args, train_dataset=cases.build_rows())._get_train_sampler()
    assert sampler.tokens >= 4 * sum(cases.LENGTHS) / 23
    assert len(sampler) <= 6 < 23 / 4 + 1
    assert f"Batches of up to {sampler.tokens} tokens" in caplog.text
    args = arguments(length_strategy="budget", tokens_per_batch=10)
    ExtTrainer(bert, args, train_dataset=cases.build_rows())._get_train_sampler()
    assert "3 rows are longer than the 10 tokens of a batch, up to 12" in caplog.text


@pytest.mark.parametrize("name", cases.STRATEGIES)
def test_an_epoch_sees_every_row_once_in_as_many_steps_as_trainer_counts(tmp_path, name):
    args = cases.settings(tmp_path, gradient_accumulation_steps=2, **(EPOCH | cases.STRATEGIES[name]))
    trainer = cases.Recording(cases.tiny_bert(), args, train_dataset=cases.build_rows(), data_collator=cases.collate)
    trainer.train()
    assert Counter(row for batch in trainer.seen for row in batch) == Counter(range(23))
    assert trainer.state.global_step == trainer.state.max_steps == -(-len(trainer.seen) // 2)
    assert trainer.state.epoch == 1
    if name == "budget":
        assert all(max(cases.LENGTHS[i] for i in batch) * len(batch) <= 24 for batch in trainer.seen)


@pytest.mark.parametrize("name", cases.STRATEGIES)
def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tmp_path, name):
    flags = cases.STRATEGIES[name]
    seen, weights = cases.train(tmp_path / "run", **flags)
    for step in cases.SAVED_STEPS:
        resumed, others = cases.train(tmp_path / "run", resume_at=step, **flags)
        assert resumed == seen[step:]
        assert torch.equal(weights, others)


@pytest.mark.parametrize("head", ["stock", "frozen"])
@pytest.mark.parametrize("steps", [1, 5])
def test_the_gradient_of_a_window_is_that_of_the_mean_over_its_rows(tmp_path, head, steps):
    flags = {"gradient_accumulation_steps": steps, **cases.STRATEGIES["budget"]}
    seen, gradient = cases.step_gradient(head, tmp_path, **flags)
    assert len(seen) == steps
    assert steps == 1 or len(set(map(len, seen))) > 1  # micro-batches differ in size
    expected = cases.true_gradient(head, [row for batch in seen for row in batch])
    assert ratio_and_error(gradient, expected)[1] < 1e-12


@pytest.mark.slow
def test_two_processes_train_resume_and_predict_as_one(tmp_path):
    succeed_in_two_processes(cases.main, tmp_path)
    found = [json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    for name in cases.STRATEGIES:
        one, two = (process[name]["seen"] for process in found)
        assert len(one) == len(two) == cases.LAST_STEP
        seen = Counter(row for batches in zip(one, two, strict=True) for batch in batches for row in batch)
        epochs = seen.total() / 23
        assert set(seen) == set(range(23))
        assert max(seen.values()) - min(seen.values()) <= (1 if name == "budget" else 1 + epochs)
        for process in found:
            assert process[name]["resumed"] == process[name]["seen"][cases.SAVED_STEPS[1] :]
            assert process[name]["equal"]
    for name in ("budget", "pack"):
        rows = [row for process in found for batch in process[f"{name} step"] for row in batch]
        gradient = load_file(tmp_path / f"{name}.safetensors")
        assert ratio_and_error(gradient, cases.true_gradient("stock", rows))[1] < 1e-12
    alone = cases.predict(tmp_path)
    for process in found:
        for name in ("predictions", "packed"):
            torch.testing.assert_close(torch.tensor(process[name]), torch.tensor(alone["predictions"]))
        assert process["labels"] == alone["labels"].tolist()
        assert process["loss"] == pytest.approx(alone["loss"], abs=1e-6)
