"""Runs whose weights are averaged, over steps or over checkpoints; ``main`` runs in two processes."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from training_models import tiny_bert
from transformers import TrainerCallback

from hf_ext.training import ExtTrainer, ExtTrainingArguments

DECAY = 0.6  # reached at step 13; before that (1 + t) / (10 + t) holds


def build_rows(count=12):
    generator = torch.Generator().manual_seed(2)
    return [
        {"input_ids": torch.randint(1, 40, (6,), generator=generator).tolist(), "labels": i % 3} for i in range(count)
    ]


class RecordWeights(TrainerCallback):
    """Copy the weights before training and after each optimizer step."""

    def __init__(self):
        self.weights = []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.weights.append(copy_of(model))

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.weights.append(copy_of(model))


def copy_of(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def average_by_hand(weights, decay=DECAY):
    """Average recorded weights, in float64, one scalar formula a step."""
    average = {name: weight.double() for name, weight in weights[0].items()}
    for step, now in enumerate(weights[1:], start=1):
        kept = min(decay, (1 + step) / (10 + step))
        average = {name: kept * average[name] + (1 - kept) * now[name].double() for name in average}
    return average


def run(folder, *, model=None, resume=None, callbacks=(), processes=1, trainer_settings=None, **changes):
    """Train six steps of four rows unless told otherwise; give the trainer."""
    settings = {
        "output_dir": str(folder),
        "use_cpu": True,
        "disable_tqdm": True,
        "max_steps": 6,
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 4 // processes,
        "logging_steps": 1,
        "save_strategy": "no",
    }
    args = ExtTrainingArguments(**{**settings, **changes})
    model = tiny_bert() if model is None else model
    data = {"train_dataset": build_rows(), "eval_dataset": build_rows()}
    trainer = ExtTrainer(model, args, callbacks=list(callbacks), **data, **(trainer_settings or {}))
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def main(folder):
    """Run both averages on two processes; each process writes what it ends with."""
    folder = Path(folder)
    record = RecordWeights()
    trainer = run(folder / "ema", processes=2, ema_decay=DECAY, callbacks=[record])
    rank = torch.distributed.get_rank()
    save_file(average_by_hand(record.weights), folder / f"expected-{rank}.safetensors")
    save_file(trainer.model.state_dict(), folder / f"ema-{rank}.safetensors")
    saving = {"save_strategy": "steps", "save_steps": 2, "average_checkpoints": 2, "save_total_limit": 2}
    trainer = run(folder / "last", processes=2, **saving)
    save_file(trainer.model.state_dict(), folder / f"last-{rank}.safetensors")
    trainer.accelerator.wait_for_everyone()
    torch.distributed.destroy_process_group()
