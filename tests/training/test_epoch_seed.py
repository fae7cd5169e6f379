"""Masks by epoch: told before the first batch of each, and a stopped and resumed run is the uninterrupted one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reviews import review_rows
from transformers import BertConfig, BertForMaskedLM, TrainerCallback

from hf_ext.data.pretraining.collator import MaskingCollator
from hf_ext.tokenization import build_tokenizer
from hf_ext.training import ExtTrainer, ExtTrainingArguments
from hf_ext.training.epoch_seed import EpochSeed

STEPS, STEPS_PER_EPOCH, ROWS_PER_STEP = 8, 3, 2
TOKENIZER = build_tokenizer([row["text"] for row in review_rows(20)], level="word", min_count=1)


class Rows(torch.utils.data.Dataset):
    """Rows of words of one or two tokens, numbered from ``first``."""

    def __init__(self, first: int = 0) -> None:
        random = np.random.default_rng(0)
        self.rows = []
        for number in range(STEPS_PER_EPOCH * ROWS_PER_STEP):
            ids = random.integers(10, len(TOKENIZER), 16)
            ids[[0, -1]] = TOKENIZER.cls_token_id, TOKENIZER.sep_token_id
            starts = random.random(16) < 0.7
            self.rows.append({"input_ids": ids.tolist(), "word_starts": starts.tolist(), "row": first + number})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict:
        return self.rows[number]


class Recorder(MaskingCollator):
    """A collator that writes down which rows it masks in which epoch, also from a worker."""

    def __init__(self, **settings) -> None:
        super().__init__(TOKENIZER, masking="whole_word", gives_positions=False, **settings)
        self.times = torch.zeros(4, STEPS_PER_EPOCH * ROWS_PER_STEP, dtype=torch.int64).share_memory_()

    def __call__(self, rows):
        for row in rows:
            if row["row"] >= 0:
                self.times[self.epoch, row["row"]] += 1
        return super().__call__(rows)


class StopAt(TrainerCallback):
    """End the run after some steps, as a killed one ends."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self.step or control.should_training_stop


def train(folder, *, workers: int = 0, stop: int | None = None, resume=None, persistent: bool = False, **flags):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    collate = Recorder()
    trainer = ExtTrainer(
        BertForMaskedLM(BertConfig(vocab_size=len(TOKENIZER), max_position_embeddings=16, **sizes)),
        ExtTrainingArguments(
            output_dir=str(folder),
            max_steps=STEPS,
            per_device_train_batch_size=ROWS_PER_STEP,
            dataloader_num_workers=workers,
            dataloader_persistent_workers=persistent,
            remove_unused_columns=False,
            learning_rate=1e-2,
            save_strategy="steps",
            save_steps=1,
            use_cpu=True,
            disable_tqdm=True,
            **flags,
        ),
        train_dataset=Rows(),
        eval_dataset=Rows(first=-STEPS_PER_EPOCH * ROWS_PER_STEP),
        data_collator=collate,
        callbacks=[EpochSeed(collate), StopAt(stop)],
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer, collate


def weights(trainer) -> torch.Tensor:
    return torch.cat([weight.detach().ravel() for weight in trainer.model.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_stopped_twice_and_resumed_ends_with_the_same_weights_bitwise(tmp_path, workers):
    whole, collate = train(tmp_path / "whole", workers=workers)
    assert collate.times.sum(1).tolist()[:2] == [6, 6]
    train(tmp_path / "parts", workers=workers, stop=STEPS_PER_EPOCH)  # between two epochs
    train(tmp_path / "parts", workers=workers, stop=5, resume=str(tmp_path / "parts" / "checkpoint-3"))  # inside one
    parts, _ = train(tmp_path / "parts", workers=workers, resume=str(tmp_path / "parts" / "checkpoint-5"))
    assert parts.state.global_step == STEPS
    assert torch.equal(weights(parts), weights(whole))


@pytest.mark.slow
def test_masks_that_ignore_the_epoch_give_other_weights(tmp_path, monkeypatch):
    whole, _ = train(tmp_path / "whole", save_total_limit=1)
    monkeypatch.setattr(Recorder, "set_epoch", lambda self, epoch: None)
    fixed, _ = train(tmp_path / "fixed", save_total_limit=1)
    assert not torch.equal(weights(fixed), weights(whole))


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_the_epoch_is_told_before_its_first_batch_is_made(tmp_path, workers, persistent):
    _, collate = train(tmp_path, workers=workers, persistent=persistent, save_total_limit=1)
    assert collate.times[:2].eq(1).all()  # every row once in each of the first two epochs, under their numbers
    assert 1 <= collate.times[2].sum() <= 6
    assert not collate.times[3].any()


@pytest.mark.slow
@pytest.mark.parametrize("stop", [3, 5])
def test_a_resumed_run_goes_on_in_its_epoch(tmp_path, stop):
    train(tmp_path, stop=stop)
    _, collate = train(tmp_path, resume=str(tmp_path / f"checkpoint-{stop}"))
    assert not collate.times[0].any()
    assert collate.times[1].sum() == (6 if stop == 3 else 2)  # of the six rows of epoch 1 four were trained on
    assert collate.times[2].any()


@pytest.mark.slow
def test_the_evaluation_loss_does_not_change_with_the_epoch_alone(tmp_path):
    trainer, collate = train(tmp_path, save_total_limit=1)
    losses = []
    for epoch in (0, 3):
        collate.set_epoch(epoch)
        losses.append(trainer.evaluate()["eval_loss"])
    assert losses[0] == losses[1]
