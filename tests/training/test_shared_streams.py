"""Streams on several processes: trained on as by one process, refused in an evaluation; nobody waits for ever."""

from __future__ import annotations

import datasets
import pytest
import torch
from forked_runs import in_two_processes
from safetensors.torch import load_file
from training_models import tiny_bert

from hf_ext.errors import UserError
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.shared_streams import check_evaluated_rows, read_stream_in_every_process


def rows(count=24):
    """Rows of unequal lengths."""
    for i in range(count):
        yield {"input_ids": [1 + (i * j) % 39 for j in range(3 + i % 5)], "labels": i % 3}


def pad(batch):
    """Pad to the longest row of the batch."""
    longest = max(len(row["input_ids"]) for row in batch)
    ids = [row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in batch]
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(ids).ne(0).long(),
        "labels": torch.tensor([row["labels"] for row in batch]),
    }


def build_trainer(folder, *, processes=1, **changes):
    settings = {
        "output_dir": str(folder),
        "use_cpu": True,
        "disable_tqdm": True,
        "max_steps": 8,  # six steps are a pass
        "per_device_train_batch_size": 4 // processes,
        "learning_rate": 1e-2,
        "save_strategy": "no",
        "ddp_timeout": 60,
    }
    model = tiny_bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    args = ExtTrainingArguments(**{**settings, **changes})
    stream = datasets.IterableDataset.from_generator(rows).shuffle(seed=1, buffer_size=8)
    return ExtTrainer(model, args, pad, train_dataset=stream, eval_dataset=stream)


@pytest.mark.slow
def test_two_processes_train_on_a_stream_of_unequal_lengths_as_one_does(tmp_path):
    def train(rank):
        trainer = build_trainer(tmp_path / "two", processes=2)
        trainer.train()
        trainer.save_model()

    assert in_two_processes(train) == [0, 0]
    one = build_trainer(tmp_path / "one")
    one.train()
    found = load_file(tmp_path / "two" / "model.safetensors")
    for name, expected in one.model.state_dict().items():
        if name in found:
            torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_processes_refuse_to_evaluate_a_stream(tmp_path):
    def evaluate(rank):
        said = []
        for act, changes in (
            (lambda trainer: trainer.evaluate(), {}),
            (lambda trainer: trainer.predict(trainer.eval_dataset), {}),
            (lambda trainer: trainer.train(), {"eval_strategy": "epoch"}),  # before it trains
        ):
            trainer = build_trainer(tmp_path, **changes)
            with pytest.raises(UserError) as refused:
                act(trainer)
            said.append(str(refused.value))
            assert trainer.state.global_step == 0
        (tmp_path / f"said-{rank}.txt").write_text("\n".join(said), encoding="utf-8")

    assert in_two_processes(evaluate) == [0, 0]
    for rank in (0, 1):
        lines = (tmp_path / f"said-{rank}.txt").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 3
        assert all("2 processes" in line and " – " in line for line in lines)


def test_one_process_evaluates_a_stream(tmp_path):
    trainer = build_trainer(tmp_path)
    assert len(trainer.predict(trainer.eval_dataset).predictions) == 24


def test_rows_that_have_a_number_are_evaluated_by_several():
    check_evaluated_rows(datasets.Dataset.from_list(list(rows(3))), processes=2)
    check_evaluated_rows({"a": list(rows(3)), "b": None}, processes=2)
    with pytest.raises(UserError, match="4 processes"):
        check_evaluated_rows({"a": datasets.IterableDataset.from_generator(rows)}, processes=4)


def test_who_says_how_a_stream_is_read_is_heard(tmp_path):
    for given, expected in ((None, False), (True, True)):
        args = ExtTrainingArguments(str(tmp_path), accelerator_config={"dispatch_batches": given})
        read_stream_in_every_process(args, datasets.IterableDataset.from_generator(rows))
        assert args.accelerator_config.dispatch_batches is expected
    args = ExtTrainingArguments(str(tmp_path))
    read_stream_in_every_process(args, list(rows()))
    assert args.accelerator_config.dispatch_batches is None
