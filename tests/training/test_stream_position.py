"""A run over a stream, read several times, goes on where its checkpoint was."""

from __future__ import annotations

import datasets
import pytest
import torch
from training_models import tiny_bert

from hf_ext.training import ExtTrainer
from hf_ext.training.stream_position import find_stream_position

STEPS = 12


def stream(count=10):
    """Ten rows in another order in every pass."""

    def rows():
        generator = torch.Generator().manual_seed(3)
        for i in range(count):
            yield {"input_ids": torch.randint(1, 40, (6,), generator=generator).tolist(), "labels": i % 3}

    return datasets.IterableDataset.from_generator(rows).shuffle(seed=1, buffer_size=8)


def train(arguments, *, accumulation, resume=None, out="whole", steps=STEPS):
    torch.manual_seed(0)
    args = arguments(
        output_dir=f"{arguments().output_dir}/{out}",
        max_steps=steps,
        save_strategy="steps",
        save_steps=1,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=accumulation,
        learning_rate=1e-2,
    )
    trainer = ExtTrainer(model=tiny_bert(), args=args, train_dataset=stream())
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_resumed_run_is_bitwise_the_whole_one_in_the_first_pass_and_in_later_ones(arguments, accumulation):
    whole = train(arguments, accumulation=accumulation)
    assert whole.state.epoch > 2
    expected = whole.model.state_dict()
    for step in (2, 5, 6, 11):  # within a pass, at the end of one, within the second, near the end
        checkpoint = f"{whole.args.output_dir}/checkpoint-{step}"
        resumed = train(arguments, accumulation=accumulation, resume=checkpoint, out=f"from{step}")
        assert resumed.state.global_step == STEPS
        found = resumed.model.state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected), step


def test_rows_of_known_number_and_new_runs_are_left_to_the_trainer(arguments, rows):
    trainer = ExtTrainer(model=tiny_bert(), args=arguments(), train_dataset=rows)
    assert find_stream_position(trainer, "somewhere") is None
    trainer.train_dataset = stream()
    assert find_stream_position(trainer, None) is None
